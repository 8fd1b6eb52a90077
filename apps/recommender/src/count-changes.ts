import { decodeHistory, EMPTY_HISTORY, encodeHistory, planInteraction } from '@millrace/ranking';
import type { Increment, UserAction, UserHistory } from '@millrace/ranking';
import type { CountKeys } from './count-keys.ts';

/** What one key gets: its kind as the scripts have it, then names and values. */
export interface Change {
  readonly kind: 'u' | 'c' | 'p' | 'b' | 'a';
  readonly key: string;
  /** The key lives at least so long from now; 0 = for good. */
  readonly ttlSeconds: number;
  readonly values: readonly (readonly [string, string | number])[];
}

/** Changes on their way to one generation of one partition, added up: each name of a key once. */
export interface ChangeSums {
  add(increments: readonly Increment[], ttlSeconds: number): void;
  setHistory(userId: string, history: UserHistory, ttlSeconds: number): void;
  /** Names that are waiting. */
  readonly size: number;
  /** All of them; none are waiting then. */
  take(): readonly Change[];
}

interface Target { readonly kind: Change['kind']; readonly key: string; readonly name: string; readonly isForGood: boolean }
interface Sums { readonly kind: Change['kind']; readonly values: Map<string, number>; ttlSeconds: number }

function targetOf(of: CountKeys, one: Increment): Target {
  if (one.kind === 'pair') return { kind: 'p', key: of.neighbours(one.list, one.sku), name: one.other, isForGood: false };
  if (one.kind === 'counter') return { kind: 'c', key: of.counter(one.counter), name: one.sku, isForGood: true };
  return { kind: one.category === null ? 'a' : 'b', key: of.board(one.board, one.category), name: one.sku, isForGood: one.category === null };
}

/** What has no time left to live is dropped. */
export function createChangeSums(of: CountKeys): ChangeSums {
  let sums = new Map<string, Sums>();
  let histories = new Map<string, Change>();
  let size = 0;
  return {
    add: (increments, ttlSeconds) => {
      for (const one of increments) {
        const { kind, key, name, isForGood } = targetOf(of, one);
        if (!isForGood && ttlSeconds <= 0) continue;
        const known = sums.get(key) ?? { kind, values: new Map<string, number>(), ttlSeconds: 0 };
        if (!known.values.has(name)) size += 1;
        known.values.set(name, (known.values.get(name) ?? 0) + one.by);
        if (!isForGood) known.ttlSeconds = Math.max(known.ttlSeconds, ttlSeconds);
        sums.set(key, known);
      }
    },
    setHistory: (userId, history, ttlSeconds) => {
      if (ttlSeconds <= 0) return;
      const key = of.user(userId);
      if (!histories.has(key)) size += 1;
      histories.set(key, { kind: 'u', key, ttlSeconds, values: [['', encodeHistory(history)]] });
    },
    get size() {
      return size;
    },
    take: () => {
      const taken = [...histories.values(), ...[...sums].map(([key, { kind, ttlSeconds, values }]): Change => ({ kind, key, ttlSeconds, values: [...values] }))];
      [sums, histories, size] = [new Map(), new Map(), 0];
      return taken;
    },
  };
}

/** An event as counting sees it. */
export interface CountedEvent extends UserAction { readonly userId: string }

/** What cannot be read (another format) begins anew, rather than stopping everybody's counts. */
export function readHistory(text: string | null): UserHistory {
  if (text === null) return EMPTY_HISTORY;
  try {
    return decodeHistory(text);
  } catch {
    return EMPTY_HISTORY;
  }
}

/** Plans the events in order, from the histories as they were before. */
export function planEvents(sums: ChangeSums, events: readonly CountedEvent[], { before, ttlSecondsAt }: { readonly before: ReadonlyMap<string, UserHistory>; readonly ttlSecondsAt: (atMs: number) => number }): void {
  const histories = new Map<string, { readonly history: UserHistory; readonly ttlSeconds: number }>();
  for (const { userId, ...action } of events) {
    const known = histories.get(userId);
    const { history, increments } = planInteraction(known?.history ?? before.get(userId) ?? EMPTY_HISTORY, action);
    const ttlSeconds = ttlSecondsAt(action.atMs);
    histories.set(userId, { history, ttlSeconds: Math.max(ttlSeconds, known?.ttlSeconds ?? 0) });
    sums.add(increments, ttlSeconds);
  }
  for (const [userId, { history, ttlSeconds }] of histories) sums.setHistory(userId, history, ttlSeconds);
}

/** Values of one script: it blocks Redis for about a millisecond. */
const MAX_VALUES = 1_000;

/** The changes in parts that one script may take. */
export function* inSlices(changes: readonly Change[]): Generator<readonly Change[]> {
  let slice: Change[] = [];
  let values = 0;
  for (const change of changes)
    for (let from = 0; from < change.values.length; from += MAX_VALUES) {
      const part = { ...change, values: change.values.slice(from, from + MAX_VALUES) };
      if (values > 0 && values + part.values.length > MAX_VALUES) {
        yield slice;
        [slice, values] = [[], 0];
      }
      slice.push(part);
      values += part.values.length;
    }
  if (slice.length > 0) yield slice;
}

/** As the scripts take them: the keys, and for each key its kind, its time to live, a number n, and n times name and value. */
export const toScriptArguments = (changes: readonly Change[]): { readonly keys: readonly string[]; readonly args: readonly (string | number)[] } => ({
  keys: changes.map(({ key }) => key),
  args: changes.flatMap(({ kind, ttlSeconds, values }) => [kind, ttlSeconds, values.length, ...values.flat()]),
});
