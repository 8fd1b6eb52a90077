import type { Counts, Neighbour } from './counts.ts';
import type { Board, Counter, Increment, PairList } from './plan-interaction.ts';

/** Neighbours of an item that are kept; up to MAX_KEPT_WITH_SLACK before the rarest are dropped: Redis keeps sets of up to 128 in a compact form. */
export const MAX_KEPT = 100;
export const MAX_KEPT_WITH_SLACK = 127;

/** First places of a board that are candidates. */
export const MAX_TOP = 200;

export interface MemoryCounts extends Counts {
  apply(increments: readonly Increment[]): void;
}

type Sums = Map<string, number>;
const ALL = '\0';

const sumsAt = (all: Map<string, Sums>, key: string): Sums => {
  const known = all.get(key);
  if (known !== undefined) return known;
  const fresh: Sums = new Map();
  all.set(key, fresh);
  return fresh;
};
/** As a sorted set of Redis ranks: by score, then backwards by name. */
const descending = (sums: Sums): [string, number][] => [...sums].toSorted(([a, x], [b, y]) => y - x || (a < b ? 1 : -1));

/** Counts in the memory of this process, capped as those in Redis: for the evaluation and for tests. */
export function createMemoryCounts(): MemoryCounts {
  const pairs = { co_buy: new Map<string, Sums>(), co_view: new Map<string, Sums>() };
  const counters: Readonly<Record<Counter, Sums>> = { baskets: new Map(), buyers: new Map(), rebuyers: new Map(), views: new Map() };
  const boards = { trending: new Map<string, Sums>(), popular: new Map<string, Sums>() };
  // Sorted lists until something is added to them.
  const sorted = new Map<Sums, readonly [string, number][]>();
  const inOrder = (sums: Sums | undefined): readonly [string, number][] => {
    if (sums === undefined) return [];
    const known = sorted.get(sums) ?? descending(sums);
    sorted.set(sums, known);
    return known;
  };
  const addTo = (sums: Sums, sku: string, by: number): void => {
    sums.set(sku, (sums.get(sku) ?? 0) + by);
    sorted.delete(sums);
  };
  const addPair = (list: PairList, sku: string, other: string, by: number): void => {
    const sums = sumsAt(pairs[list], sku);
    addTo(sums, other, by);
    if (sums.size > MAX_KEPT_WITH_SLACK) for (const [dropped] of descending(sums).slice(MAX_KEPT)) sums.delete(dropped);
  };
  return {
    apply: (increments) => {
      for (const one of increments) {
        if (one.kind === 'pair') addPair(one.list, one.sku, one.other, one.by);
        else if (one.kind === 'counter') addTo(counters[one.counter], one.sku, one.by);
        else addTo(sumsAt(boards[one.board], one.category ?? ALL), one.sku, one.by);
      }
    },
    neighbours: (list, sku) => inOrder(pairs[list].get(sku)).map(([other, count]): Neighbour => ({ sku: other, count })),
    counter: (counter, sku) => counters[counter].get(sku) ?? 0,
    weight: (board, sku) => {
      const sums = boards[board].get(ALL);
      const top = inOrder(sums)[0]?.[1] ?? 0;
      return top === 0 ? 0 : (sums?.get(sku) ?? 0) / top;
    },
    top: (board: Board, category) => inOrder(boards[board].get(category ?? ALL)).slice(0, MAX_TOP).map(([sku]) => sku),
  };
}
