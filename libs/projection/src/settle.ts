import { setTimeout as delay } from 'node:timers/promises';

export interface SettleDeps {
  /** The consumer group's backlog. */
  readonly lag: () => Promise<{ readonly messages: number; readonly oldestAgeMs: number }>;
  /** From a commit to the stream, and from the last read to its acknowledgement. */
  readonly graceMs: number;
  readonly maxMs: number;
  readonly pollMs?: number;
}

/**
 * Gives a consumer the chance to take in what was committed before the call: waits `graceMs` for it to reach the stream, then until the group has
 * no backlog, or (under steady load it always has one) none that is as old. false after `maxMs`, also where the bus cannot be asked: it is still behind. Rejects when aborted.
 */
export const createSettle =
  ({ lag, graceMs, maxMs, pollMs = 100 }: SettleDeps) =>
  async (signal?: AbortSignal): Promise<boolean> => {
    const options = signal ? { signal } : {};
    const startMs = performance.now();
    const until = startMs + maxMs;
    await delay(graceMs, undefined, options);
    for (;;) {
      const askedMs = performance.now();
      const { messages, oldestAgeMs } = await lag().catch(() => ({ messages: Infinity, oldestAgeMs: Infinity }));
      // Entries that came behind the grace hold only what was committed after the call.
      if (messages === 0 || oldestAgeMs < askedMs - startMs - graceMs) return true;
      if (performance.now() >= until) return false;
      await delay(pollMs, undefined, options);
    }
  };
