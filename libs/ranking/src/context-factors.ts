import type { FindItem, ItemFacts, RecentContext } from './counts.ts';
import type { UserHistory } from './user-history.ts';

/** What the shopper's last minutes do to a score: factors, 1 = nothing. */
export interface ContextFactors {
  /** 1 to 1.6: the item's category has just been looked at. */
  readonly category: number;
  /** 0.3 to 1: the item itself has just been seen. */
  readonly seen: number;
  /** 0.6 to 1: the price is far from what the user looks at and buys. */
  readonly price: number;
}

/** How strong each factor is; 0, 0 and 1: not at all. */
export interface ContextWeights {
  /** A category that all looks were in gets 1 + so much. */
  readonly categoryBoost: number;
  /** What was seen last gets 1 - so much, 0 to 1. */
  readonly seenPenalty: number;
  /** The least that a price far from the usual gets, 0 to 1. */
  readonly priceFloor: number;
}
export const CONTEXT_WEIGHTS: ContextWeights = { categoryBoost: 0.6, seenPenalty: 0.7, priceFloor: 0.6 };
const SEEN_DECAY = 0.85;
/** A price 2.5 times the usual one, or a 2.5th, is one standard deviation away. */
const PRICE_SIGMA = Math.log(2.5);
/** Fewer known prices are no band. */
const MIN_PRICES = 3;

interface PriceBand { readonly currency: string; readonly logMedian: number }

/** The middle of the prices that a user looked at and bought lately, in the currency of most of them. */
export function priceBand(skus: readonly string[], find: FindItem): PriceBand | undefined {
  const priced = skus.flatMap((sku) => find(sku) ?? []).filter((item) => (item.priceMinor ?? 0) > 0);
  const [currency, items] = [...Map.groupBy(priced, (item) => item.currency)].toSorted(([, a], [, b]) => b.length - a.length)[0] ?? ['', []];
  if (items.length < MIN_PRICES) return undefined;
  const logs = items.map((item) => Math.log(item.priceMinor ?? 1)).toSorted((a, b) => a - b);
  return { currency, logMedian: ((logs[(logs.length - 1) >> 1] ?? 0) + (logs[logs.length >> 1] ?? 0)) / 2 };
}

function priceFactor(item: ItemFacts, band: PriceBand | undefined, floor: number): number {
  if (band === undefined || item.priceMinor === null || item.priceMinor <= 0 || item.currency !== band.currency) return 1;
  const distance = (Math.log(item.priceMinor) - band.logMedian) / PRICE_SIGMA;
  return floor + (1 - floor) * Math.exp(-(distance ** 2) / 2);
}

/** A function from an item to its factors, for one shopper. */
export function contextFactors(recent: RecentContext, history: UserHistory, find: FindItem, { categoryBoost, seenPenalty, priceFloor } = CONTEXT_WEIGHTS): (item: ItemFacts) => ContextFactors {
  const seenAt = new Map(recent.items.map((sku, at) => [sku, at]));
  const looks = [...recent.categories.values()].reduce((sum, count) => sum + count, 0);
  const lately = [...recent.items, ...history.bought.toSorted((a, b) => b.atMs - a.atMs).slice(0, 20).map(({ sku }) => sku)];
  const band = priceBand(lately, find);
  return (item) => {
    const share = looks === 0 || item.category === null ? 0 : (recent.categories.get(item.category) ?? 0) / looks;
    const at = seenAt.get(item.sku);
    return { category: 1 + categoryBoost * share, seen: at === undefined ? 1 : 1 - seenPenalty * SEEN_DECAY ** at, price: priceFactor(item, band, priceFloor) };
  };
}

export const productOf = ({ category, seen, price }: ContextFactors): number => category * seen * price;
