/** How many calls to one service may be repeated. */
export interface RetryBudget {
  /** A call is sent for the first time. */
  called(): void;
  /** true: one may be repeated now, and counts as repeated. */
  take(): boolean;
}

export interface RetryBudgetOptions {
  /** Repetitions for each hundred calls; 0 = none. */
  readonly percent: number;
  readonly windowMs?: number;
  readonly now?: () => number;
}

const SLOTS = 10;

/**
 * In every sliding window (10 s, in steps of a tenth) at most `percent` of the calls are repeated, so that retries never are the load that keeps a failing
 * service down. Nothing is granted in advance: where there were few calls there is no retry. After Finagle's RetryBudget, without its minimum.
 */
export function createRetryBudget({ percent, windowMs = 10_000, now = () => performance.now() }: RetryBudgetOptions): RetryBudget {
  const slotMs = windowMs / SLOTS;
  const calls = Array.from({ length: SLOTS }, () => 0);
  const retries = Array.from({ length: SLOTS }, () => 0);
  let latest = Math.floor(now() / slotMs);
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  /** The slot of now; those that have left the window since are empty. */
  const slot = (): number => {
    const current = Math.floor(now() / slotMs);
    for (let passed = Math.max(latest + 1, current - SLOTS + 1); passed <= current; passed += 1) {
      calls[passed % SLOTS] = 0;
      retries[passed % SLOTS] = 0;
    }
    latest = current;
    return current % SLOTS;
  };
  const add = (counts: number[]): void => {
    const index = slot();
    counts[index] = (counts[index] ?? 0) + 1;
  };
  return {
    called: () => add(calls),
    take() {
      slot();
      if ((sum(retries) + 1) * 100 > sum(calls) * percent) return false;
      add(retries);
      return true;
    },
  };
}
