import type { Counts, RecentContext } from './counts.ts';
import type { UserHistory } from './user-history.ts';

/** Where nobody counted yet, one buyer in five comes back; worth 20 buyers. Weighs own repeats against each other. */
const PRIOR = { rate: 0.2, buyers: 20 };
/** The doubt when an item was just bought is the other way: one in twenty, worth 10 buyers. */
const JUST_BOUGHT_PRIOR = { rate: 0.05, buyers: 10 };
/** From this rate on an item may be offered again at once. */
export const REBUY_AT_ONCE_RATE = 0.1;
export const JUST_BOUGHT_MS = 14 * 86_400_000;
/** How much of the ratio to the average rate counts: more below it. */
const REBUY_EXPONENT = { below: 0.5, above: 0.25 };

/** Share of the item's buyers who bought it in another basket again, drawn to the prior where there are few. */
const rateOf = (counts: Counts, sku: string, prior: typeof PRIOR): number =>
  (counts.counter('rebuyers', sku) + prior.rate * prior.buyers) / (counts.counter('buyers', sku) + prior.buyers);

/** Factor of an own repeat: 1 for an item of the average rate. One that people do not buy twice goes down faster than a favourite goes up. */
export function rebuyFactor(counts: Counts, sku: string): number {
  const ratio = rateOf(counts, sku, PRIOR) / PRIOR.rate;
  return ratio ** (ratio < 1 ? REBUY_EXPONENT.below : REBUY_EXPONENT.above);
}

/** A function that tells: bought in the last 14 days, and not an item that people buy again. */
export function justBoughtFilter({ counts, history, recent, nowMs }: { readonly counts: Counts; readonly history: UserHistory; readonly recent: RecentContext; readonly nowMs: number }): (sku: string) => boolean {
  const lately = new Set([...recent.purchases, ...history.bought.filter(({ atMs }) => nowMs - atMs < JUST_BOUGHT_MS).map(({ sku }) => sku)]);
  return (sku) => lately.has(sku) && rateOf(counts, sku, JUST_BOUGHT_PRIOR) < REBUY_AT_ONCE_RATE;
}
