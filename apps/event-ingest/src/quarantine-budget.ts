import { LRUCache } from 'lru-cache';

export interface Budget {
  /** How many rows this key may add now, at most `wanted`; and what the others fail by. */
  take(keyId: string, wanted: number): { readonly granted: number; readonly refusedBy: 'rate' | 'full' };
  /** Rows of each key that are stored. */
  setStored(stored: ReadonlyMap<string, number>): void;
}

export interface BudgetOptions {
  /** Rows in all, about: what other instances add is known a minute later. */
  readonly maxRows: number;
  /** Of one key, by one instance. */
  readonly maxRowsPerMinute: number;
  readonly nowMs?: () => number;
}

const MINUTE_MS = 60_000;
/** Keys whose minute is remembered. */
const KEYS = 10_000;

/** Bounds what is kept, so that nobody fills the disk: by a fixed minute for each key, in all, and half of all for one key, so that a flood of one (a browser's key is public) leaves room for the others. */
export function createBudget({ maxRows, maxRowsPerMinute, nowMs = () => performance.now() }: BudgetOptions): Budget {
  const minutes = new LRUCache<string, { readonly since: number; used: number }>({ max: KEYS });
  let stored = new Map<string, number>();
  let total = 0;
  const minuteOf = (keyId: string): { used: number } => {
    const now = nowMs();
    const known = minutes.get(keyId);
    if (known && now - known.since < MINUTE_MS) return known;
    const fresh = { since: now, used: 0 };
    minutes.set(keyId, fresh);
    return fresh;
  };
  return {
    take(keyId, wanted) {
      const minute = minuteOf(keyId);
      const own = stored.get(keyId) ?? 0;
      const byRate = maxRowsPerMinute - minute.used;
      const byRoom = Math.min(maxRows - total, Math.ceil(maxRows / 2) - own);
      const granted = Math.max(0, Math.min(wanted, byRate, byRoom));
      minute.used += granted;
      stored.set(keyId, own + granted);
      total += granted;
      return { granted, refusedBy: byRoom < byRate ? 'full' : 'rate' };
    },
    setStored(counts) {
      stored = new Map(counts);
      total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    },
  };
}
