import { boughtSeeds, neighboursOf, ownRepeats, viewedSeeds } from './candidates.ts';
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
type MutableParts = { -readonly [S in Source]: number };

/** The parts of each candidate, made where one is asked for. */
function createParts() {
  const all = new Map<string, MutableParts>();
  const of = (sku: string): MutableParts => {
    const known = all.get(sku);
    if (known !== undefined) return known;
    const fresh: MutableParts = { own: 0, co_buy: 0, co_view: 0, similar: 0, trending: 0 };
    all.set(sku, fresh);
    return fresh;
  };
  /** Values as a share of the largest. */
  const addShares = (source: Source, values: ReadonlyMap<string, number>, worth: number): void => {
    let top = 0;
    for (const value of values.values()) top = Math.max(top, value);
    if (top > 0) for (const [sku, value] of values) of(sku)[source] = (worth * value) / top;
  };
  return { all, of, addShares };
}

/**
 * The parts of every candidate's score, each 0 where a source does not know it. Empty where the user has left no trace: then the fallback
 * stages fill the list. What trends is a candidate beside what the traces lead to.
 */
export function blend({ counts, history, recent, similar, weights = BLEND_WEIGHTS, without }: BlendInput): ReadonlyMap<string, Parts> {
  const found = (source: Source, find: () => ReadonlyMap<string, number>): ReadonlyMap<string, number> => (without?.has(source) === true ? NOTHING : find());
  const own = found('own', () => ownRepeats(counts, history));
  const coBuy = found('co_buy', () => neighboursOf(counts, 'co_buy', boughtSeeds(history)));
  const coView = found('co_view', () => neighboursOf(counts, 'co_view', viewedSeeds(history, recent)));
  const alike = found('similar', () => similar);
  if (own.size + coBuy.size + coView.size + alike.size === 0) return new Map();
  const isTrendLeftOut = without?.has('trending') === true;
  const scale = weights.discovery * weights.trendFloor ** weights.trendExponent;
  const trendOf = (sku: string): number => (isTrendLeftOut ? 0 : counts.weight('trending', sku));
  const parts = createParts();
  for (const [sku, value] of own) {
    const trend = trendOf(sku);
    Object.assign(parts.of(sku), { own: value * (trend + weights.trendFloor) ** weights.trendExponent, trending: scale * weights.trending * trend });
  }
  parts.addShares('co_buy', coBuy, scale);
  parts.addShares('co_view', coView, scale * weights.coView);
  parts.addShares('similar', alike, scale * weights.similar);
  if (!isTrendLeftOut) for (const sku of counts.top('trending', null)) parts.of(sku).trending = scale * weights.trending * trendOf(sku);
  return parts.all;
}

/** Written out: it is asked for every candidate. */
export const sumOf = ({ own, co_buy: coBuy, co_view: coView, similar, trending }: Parts): number => own + coBuy + coView + similar + trending;

/** The source that gave most; the earlier one of equals. */
export const mainSource = (parts: Parts): Source => sources.reduce((best, source) => (parts[source] > parts[best] ? source : best), 'own');
