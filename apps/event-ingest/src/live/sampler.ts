import type { LiveType } from '@millrace/contracts';

export interface Sampler {
  /** May one more of this type be sent now? One that may not is counted. */
  take(type: LiveType): boolean;
  /** How many were left out since the last call, by type. */
  leftOut(): ReadonlyMap<LiveType, number>;
}

export interface SamplerOptions {
  /** Of each type. */
  readonly perSecond: number;
  readonly nowMs?: () => number;
}

/** Slices of a second, so that what is sent comes from all over it. */
const SLICES = 10;

/** Lets so many of each type pass in each tenth of a second; of the others it keeps a number. */
export function createSampler({ perSecond, nowMs = () => performance.now() }: SamplerOptions): Sampler {
  const most = Math.max(1, Math.floor(perSecond / SLICES));
  const used = new Map<LiveType, number>();
  let left = new Map<LiveType, number>();
  let slice = 0;
  return {
    take(type) {
      const now = Math.floor((nowMs() * SLICES) / 1_000);
      if (now !== slice) used.clear();
      slice = now;
      const count = (used.get(type) ?? 0) + 1;
      if (count > most) {
        left.set(type, (left.get(type) ?? 0) + 1);
        return false;
      }
      used.set(type, count);
      return true;
    },
    leftOut() {
      const counted = left;
      left = new Map();
      return counted;
    },
  };
}

export interface LastMinute {
  add(type: LiveType): void;
  /** Of the last 60 seconds, by when they came. */
  counts(): ReadonlyMap<LiveType, number>;
}

const SECONDS = 60;

export function createLastMinute(nowMs: () => number = () => performance.now()): LastMinute {
  const seconds = new Map<number, Map<LiveType, number>>();
  const forget = (now: number): void => {
    for (const second of seconds.keys()) if (second <= now - SECONDS) seconds.delete(second);
  };
  return {
    add(type) {
      const now = Math.floor(nowMs() / 1_000);
      let counts = seconds.get(now);
      if (counts === undefined) {
        forget(now);
        counts = new Map();
        seconds.set(now, counts);
      }
      counts.set(type, (counts.get(type) ?? 0) + 1);
    },
    counts() {
      forget(Math.floor(nowMs() / 1_000));
      const sums = new Map<LiveType, number>();
      for (const counts of seconds.values()) for (const [type, count] of counts) sums.set(type, (sums.get(type) ?? 0) + count);
      return sums;
    },
  };
}
