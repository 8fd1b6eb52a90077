import { setImmediate as nextTick, setTimeout as delay } from 'node:timers/promises';

export interface LaneOptions {
  /** Rows of a slice while nothing live has come for `quietMs`. */
  readonly idleRows: number;
  /** Rows of a slice otherwise: live work waits at most for one of them. */
  readonly busyRows: number;
  /** Default 2,000. */
  readonly quietMs?: number;
  /** Longest wait for live work before a slice, so that a rebuild ends under any load. Default 1,000. */
  readonly maxWaitMs?: number;
  readonly nowMs?: () => number;
}

/** Keeps the backfill of a rebuild out of the way of live changes in the same process. */
export interface Lane {
  /** Runs live work; slices of the backfill wait until it is done. */
  readonly live: <T>(work: () => Promise<T>) => Promise<T>;
  /** Runs the backfill of these items in slices: large ones while nothing live comes, else small ones with as long a pause after each as it took. */
  readonly backfill: <T>(items: readonly T[], work: (slice: readonly T[]) => Promise<void>) => Promise<void>;
}

export function createLane({ idleRows, busyRows, quietMs = 2_000, maxWaitMs = 1_000, nowMs = () => performance.now() }: LaneOptions): Lane {
  let running = 0;
  let lastLiveMs = -Infinity;
  let waiting: (() => void)[] = [];
  const isBusy = (): boolean => running > 0 || nowMs() - lastLiveMs < quietMs;
  const untilFree = async (): Promise<void> => {
    if (running === 0) return;
    const late = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    // Aborted when the wait is over: nobody listens to it then.
    await Promise.race([promise, delay(maxWaitMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  };
  return {
    live: async (work) => {
      running += 1;
      try {
        return await work();
      } finally {
        running -= 1;
        lastLiveMs = nowMs();
        if (running === 0) {
          for (const resolve of waiting) resolve();
          waiting = [];
        }
      }
    },
    backfill: async (items, work) => {
      for (let at = 0; at < items.length; ) {
        // What has arrived meanwhile gets its turn first.
        await nextTick();
        await untilFree();
        const rows = isBusy() ? busyRows : idleRows;
        const startMs = nowMs();
        await work(items.slice(at, at + rows));
        at += rows;
        if (isBusy()) await delay(Math.min(nowMs() - startMs, maxWaitMs));
      }
    },
  };
}
