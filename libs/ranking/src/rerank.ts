import { contextFactors, productOf } from './context-factors.ts';
import type { ContextFactors } from './context-factors.ts';
import type { Counts, FindItem, RecentContext } from './counts.ts';
import { justBoughtFilter } from './repurchase.ts';
import type { UserHistory } from './user-history.ts';

export interface RerankInput {
  readonly counts: Counts;
  readonly find: FindItem;
  readonly history: UserHistory;
  readonly recent: RecentContext;
  readonly nowMs: number;
  readonly limit: number;
  readonly items: readonly { readonly sku: string; readonly score: number }[];
}
export interface Reranked { readonly sku: string; readonly score: number; readonly given: number; readonly factors: ContextFactors }

/**
 * Another's list in the order of the live context: each score times its factors, ties in the given order. Hidden products and those just bought
 * that people do not buy again are left out, and a product that is given twice counts once, by its first place. Scores below zero are shifted up,
 * so that a boost never harms.
 */
export function rerank({ counts, find, history, recent, nowMs, limit, items }: RerankInput): readonly Reranked[] {
  const factorsOf = contextFactors(recent, history, find);
  const isJustBought = justBoughtFilter({ counts, history, recent, nowMs });
  const lowest = Math.min(0, ...items.map(({ score }) => score));
  const first = new Map(items.toReversed().map((one) => [one.sku, one]));
  return items
    .filter((one) => first.get(one.sku) === one)
    .flatMap(({ sku, score }): Reranked[] => {
      const item = find(sku);
      if (item === undefined || isJustBought(sku)) return [];
      const factors = factorsOf(item);
      return [{ sku, given: score, factors, score: (score - lowest) * productOf(factors) }];
    })
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit);
}
