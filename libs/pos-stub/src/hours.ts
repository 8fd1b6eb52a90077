/** The documented 5,000 GETs in any hour, and how many came in the busiest one. */
export interface Hours {
  /** False: too many. */
  count(): boolean;
  readonly total: number;
  /** Most that were let through in 60 minutes, whenever they began. */
  readonly most: number;
  forget(): void;
}

const HOUR_MS = 3_600_000;

export function createHours(limit: number, now: () => number = Date.now): Hours {
  let times: number[] = [];
  let total = 0;
  let most = 0;
  return {
    count() {
      total += 1;
      const from = now() - HOUR_MS;
      times = times.filter((at) => at > from);
      if (times.length >= limit) return false;
      times.push(now());
      most = Math.max(most, times.length);
      return true;
    },
    get total() { return total; },
    get most() { return most; },
    forget() {
      times = [];
    },
  };
}
