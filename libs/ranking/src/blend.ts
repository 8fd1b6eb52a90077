import { boughtSeeds, neighboursOf, ownRepeats, relativeToTop, viewedSeeds } from './candidates.ts';
import type { Counts, RecentContext } from './counts.ts';
import type { UserHistory } from './user-history.ts';

/** Where a candidate comes from; their parts add up to its score. */
export const sources = ['own', 'co_buy', 'co_view', 'similar', 'trending'] as const;
export type Source = (typeof sources)[number];
export type Parts = Readonly<Record<Source, number>>;

/** Found without a run on the test data: `npm run eval -- recommend --tune` compares them on the customers' last but one basket. */
export interface BlendWeights {
  /** An own repeat is worth `(trend + trendFloor) ^ trendExponent`: seasons pass. */
  readonly trendFloor: number;
  readonly trendExponent: number;
  /** Everything that is no repeat, against an own repeat that does not trend. */
  readonly discovery: number;
  readonly coView: number;
  readonly similar: number;
  readonly trending: number;
}
export const BLEND_WEIGHTS: BlendWeights = { trendFloor: 0.03, trendExponent: 0.7, discovery: 1, coView: 1, similar: 0.5, trending: 0.7 };

export interface BlendInput {
  readonly counts: Counts;
  readonly history: UserHistory;
  readonly recent: RecentContext;
  /** Nearest by content to what the user looked at last: sku -> cosine. */
  readonly similar: ReadonlyMap<string, number>;
  readonly weights?: BlendWeights;
  /** Sources that are left out, to see what each is worth. */
  readonly without?: ReadonlySet<Source>;
}

const NOTHING: ReadonlyMap<string, number> = new Map();

/**
 * The parts of every candidate's score, each 0 where a source does not know it. Empty where the user has left no trace: then the fallback
 * stages fill the list. What trends is a candidate beside what the traces lead to.
 */
export function blend({ counts, history, recent, similar, weights = BLEND_WEIGHTS, without }: BlendInput): Map<string, Parts> {
  const found = (source: Source, find: () => ReadonlyMap<string, number>): ReadonlyMap<string, number> => (without?.has(source) === true ? NOTHING : find());
  const own = found('own', () => ownRepeats(counts, history));
  const coBuy = found('co_buy', () => relativeToTop(neighboursOf(counts, 'co_buy', boughtSeeds(history))));
  const coView = found('co_view', () => relativeToTop(neighboursOf(counts, 'co_view', viewedSeeds(history, recent))));
  const alike = found('similar', () => relativeToTop(similar));
  if (own.size + coBuy.size + coView.size + alike.size === 0) return new Map();
  const isTrendLeftOut = without?.has('trending') === true;
  const scale = weights.discovery * weights.trendFloor ** weights.trendExponent;
  const trending = isTrendLeftOut ? new Set<string>() : new Set(counts.top('trending', null));
  const parts = new Map<string, Parts>();
  for (const sku of new Set([...own.keys(), ...coBuy.keys(), ...coView.keys(), ...alike.keys(), ...trending])) {
    const trend = own.has(sku) || trending.has(sku) ? (isTrendLeftOut ? 0 : counts.weight('trending', sku)) : 0;
    parts.set(sku, {
      own: (own.get(sku) ?? 0) * (trend + weights.trendFloor) ** weights.trendExponent,
      co_buy: scale * (coBuy.get(sku) ?? 0),
      co_view: scale * weights.coView * (coView.get(sku) ?? 0),
      similar: scale * weights.similar * (alike.get(sku) ?? 0),
      trending: scale * weights.trending * trend,
    });
  }
  return parts;
}

export const sumOf = (parts: Parts): number => sources.reduce((sum, source) => sum + parts[source], 0);

/** The source that gave most; the earlier one of equals. */
export const mainSource = (parts: Parts): Source => sources.reduce((best, source) => (parts[source] > parts[best] ? source : best), 'own');
