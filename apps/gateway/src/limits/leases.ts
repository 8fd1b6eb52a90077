import { LRUCache } from 'lru-cache';
import type { Charge, Taken } from './gcra.ts';

/** Units that this instance has taken before they were asked for. For Redis they are used, so instances together never admit more than that. */
export interface Leases {
  /** Takes every charge from what is leased, or nothing. Undefined: ask Redis. */
  take(wanted: readonly Pick<Charge, 'key' | 'cost'>[]): readonly Taken[] | undefined;
  /**
   * Units to lease with the next question: none for a caller that was not here within the last second, then twice as many with each lease that was
   * used up, at most `max`. None while another question is on its way: calls that come together must not lease as often as they are many.
   */
  wish(key: string, cost: number, max: number): number;
  /** The question is over; `taken` is undefined where nothing was taken. */
  settle(charges: readonly Charge[], taken: readonly Taken[] | undefined): void;
}

interface Lease {
  units: number;
  readonly size: number;
  /** Left at Redis, when it was last asked. */
  readonly remaining: number;
  readonly until: number;
}

/** A leased unit that is not used ends after a second: a burst is not saved up. */
const LEASE_MS = 1_000;
const CALLERS = 10_000;

export function createLeases(now: () => number = () => performance.now()): Leases {
  const leases = new LRUCache<string, Lease>({ max: CALLERS });
  const asking = new Set<string>();
  const find = (key: string): Lease | undefined => {
    const lease = leases.get(key);
    return lease && lease.until > now() ? lease : undefined;
  };
  return {
    take(wanted) {
      const found: Lease[] = [];
      for (const { key, cost } of wanted) {
        const lease = find(key);
        if (!lease || lease.units < cost) return undefined;
        found.push(lease);
      }
      return found.map((lease, at) => {
        lease.units -= wanted[at]?.cost ?? 0;
        return { isAdmitted: true, remaining: lease.remaining + lease.units, leased: 0, waitMs: 0 };
      });
    },
    wish(key, cost, max) {
      const lease = find(key);
      if (!lease || asking.has(key)) return 0;
      const size = lease.units < cost ? Math.max(1, lease.size * 2) : lease.size;
      const units = Math.max(0, Math.min(max, size) - lease.units);
      if (units > 0) asking.add(key);
      return units;
    },
    settle(charges, taken) {
      charges.forEach(({ key, cost, lease }, index) => {
        if (lease > 0) asking.delete(key);
        if (!taken) return;
        const { leased = 0, remaining = 0 } = taken[index] ?? {};
        const last = find(key);
        const units = leased + (last?.units ?? 0);
        // Units that were there keep their time: topping up must not prolong it.
        leases.set(key, { units, remaining, size: Math.max(units, last?.size ?? 0), until: last && last.units >= cost ? last.until : now() + LEASE_MS });
      });
    },
  };
}
