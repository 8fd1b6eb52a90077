import type { Counts, RecentContext } from './counts.ts';
import type { PairList } from './plan-interaction.ts';
import { rebuyFactor } from './repurchase.ts';
import { weightNow } from './user-history.ts';
import type { UserHistory } from './user-history.ts';

/** An item that others are looked up for, and how much it counts: 0 to 1. */
export interface Seed { readonly sku: string; readonly weight: number }

export const MAX_BOUGHT_SEEDS = 20;
export const MAX_VIEWED_SEEDS = 10;
/** Neighbours of a seed that become candidates. */
export const MAX_NEIGHBOURS = 40;
/** Pairs that met by chance: added to the denominator of a similarity. */
const SHRINKAGE = 10;

/** What the user bought, the heaviest first: what is bought together with them is offered. */
export const boughtSeeds = ({ bought, basket }: UserHistory): readonly Seed[] =>
  bought
    .map((item) => ({ sku: item.sku, weight: weightNow(item, basket) }))
    .toSorted((a, b) => b.weight - a.weight)
    .slice(0, MAX_BOUGHT_SEEDS)
    .map(({ sku, weight }) => ({ sku, weight: Math.min(1, 0.3 + 0.7 * weight) }));

/** What the user looks at now, else looked at last. */
export function viewedSeeds(history: UserHistory, recent: RecentContext): readonly Seed[] {
  const newest = recent.items.length > 0 ? recent.items : history.viewed.map(({ sku }) => sku);
  return newest.slice(0, MAX_VIEWED_SEEDS).map((sku, at) => ({ sku, weight: 0.85 ** at }));
}

/**
 * Cosine of two items' baskets (or sessions), shrunk: `together / (sqrt(a * b) + 10)`. Item-based collaborative filtering of Sarwar et al.
 * (WWW 2001), with the shrinkage of Bell and Koren (ICDM 2007) in the denominator, so that pairs seen once or twice do not win.
 */
export function similarity(counts: Counts, list: PairList, pair: { readonly sku: string; readonly other: string; readonly together: number }): number {
  const counter = list === 'co_buy' ? 'baskets' : 'views';
  return pair.together / (Math.sqrt(counts.counter(counter, pair.sku) * counts.counter(counter, pair.other)) + SHRINKAGE);
}

/** Items that go with the seeds: the sum of their similarities, weighed by the seed. */
export function neighboursOf(counts: Counts, list: PairList, seeds: readonly Seed[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { sku, weight } of seeds)
    for (const { sku: other, count } of counts.neighbours(list, sku).slice(0, MAX_NEIGHBOURS)) sums.set(other, (sums.get(other) ?? 0) + weight * similarity(counts, list, { sku, other, together: count }));
  return sums;
}

/** Own repeats: how often and how lately the user bought it, times the item's repurchase factor. */
export const ownRepeats = (counts: Counts, { bought, basket }: UserHistory): Map<string, number> =>
  new Map(bought.map((item) => [item.sku, weightNow(item, basket) * rebuyFactor(counts, item.sku)]));
