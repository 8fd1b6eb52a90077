import { blend, mainSource, sources, sumOf } from './blend.ts';
import type { BlendWeights, Parts, Source } from './blend.ts';
import { contextFactors, productOf } from './context-factors.ts';
import type { ContextFactors, ContextWeights } from './context-factors.ts';
import { NO_CONTEXT } from './counts.ts';
import type { Counts, FindItem, ItemFacts, RecentContext } from './counts.ts';
import { createDiversifier } from './diversify.ts';
import type { Variety } from './diversify.ts';
import { justBoughtFilter } from './repurchase.ts';
import { EMPTY_HISTORY } from './user-history.ts';
import type { UserHistory } from './user-history.ts';

/** The declared chain: the user's own traces (their sources blended), then each stage fills what the ones before left empty. `relaxed`: what the cap by brand had held back. */
export const fallbackStages = ['trending_in_category', 'trending', 'popular', 'newest', 'relaxed'] as const;
export type FallbackStage = (typeof fallbackStages)[number];
export type Stage = Source | FallbackStage;

export interface RecommendInput {
  readonly counts: Counts;
  readonly find: FindItem;
  readonly history: UserHistory;
  readonly recent: RecentContext;
  readonly similar: ReadonlyMap<string, number>;
  /** Newest products first, of the category that is asked for if one is. */
  readonly newest: readonly string[];
  readonly nowMs: number;
  readonly limit: number;
  /** Only products of this category. */
  readonly category?: string;
  readonly exclude?: ReadonlySet<string>;
  /** Leave out what the user has just looked at, and bought. */
  readonly excludeSeen?: boolean;
  readonly weights?: BlendWeights;
  readonly context?: ContextWeights;
  readonly variety?: Variety;
  /** false: the order of a stranger's list. What was just bought, and with excludeSeen seen, stays out nevertheless. */
  readonly personalize?: boolean;
  /** Sources and stages that are left out, to see what each is worth. */
  readonly without?: ReadonlySet<Stage>;
}

export interface Recommendation {
  readonly item: ItemFacts;
  readonly score: number;
  /** What filled this place: of a blended one the source that gave most. */
  readonly stage: Stage;
  /** Of a blended one: `score` is their sum times the factors. */
  readonly parts?: Parts;
  readonly factors: ContextFactors;
}

interface Candidate extends Recommendation { readonly score: number }

/**
 * The products for one user, best first, each once. What is excluded, hidden (`find` does not know it), just bought and seldom bought again, or of
 * another category than asked for, appears at no stage. Never fails; shorter than `limit` only where there are no more products.
 */
export function recommend(given: RecommendInput): readonly Recommendation[] {
  const { limit } = given;
  const input = given.personalize === false ? { ...given, ...STRANGER } : given;
  const candidateOf = candidates(given, input);
  const diversifier = createDiversifier(limit, given.variety);
  const taken = new Map<string, Candidate>();
  const heldBack: Candidate[] = [];
  const fill = (offered: readonly Candidate[]): void => {
    const fresh = offered.filter(({ item }) => !taken.has(item.sku));
    for (const one of diversifier.take(fresh, limit - taken.size)) taken.set(one.item.sku, one);
    heldBack.push(...fresh.filter(({ item }) => !taken.has(item.sku)).toSorted((a, b) => b.score - a.score).slice(0, limit));
  };
  fill(blended(input, candidateOf));
  for (const [stage, skus] of fallbackLists(input)) {
    if (taken.size >= limit) break;
    fill(skus.flatMap((sku, at) => candidateOf(sku, { stage, base: 1 / (at + 1) })));
  }
  for (const one of input.without?.has('relaxed') === true ? [] : heldBack) {
    if (taken.size >= limit) break;
    if (!taken.has(one.item.sku)) taken.set(one.item.sku, { ...one, stage: 'relaxed' });
  }
  return [...taken.values()];
}

const STRANGER = { history: EMPTY_HISTORY, recent: NO_CONTEXT, similar: new Map<string, number>() };

/** Blended candidates that pass the gate, the best before the context has its say; the others can hardly win. */
const MAX_BLENDED = 300;

function blended(input: RecommendInput, candidateOf: CandidateOf): readonly Candidate[] {
  const found: Candidate[] = [];
  const inOrder = [...blend(blendInput(input))].map(([sku, parts]) => ({ sku, parts, base: sumOf(parts) })).toSorted((a, b) => b.base - a.base);
  for (const { sku, parts, base } of inOrder) {
    if (found.length >= MAX_BLENDED) break;
    found.push(...candidateOf(sku, { stage: mainSource(parts), base, parts }));
  }
  return found;
}

const isSource = (stage: Stage): stage is Source => sources.some((one) => one === stage);

const blendInput = ({ counts, history, recent, similar, weights, without }: RecommendInput): Parameters<typeof blend>[0] => ({
  counts, history, recent, similar, ...(weights && { weights }), ...(without && { without: new Set([...without].filter(isSource)) }),
});

type CandidateOf = (sku: string, found: { readonly stage: Stage; readonly base: number; readonly parts?: Parts }) => Candidate[];

/** The one gate that every candidate of every stage passes; `as`: whose context the factors are of. */
function candidates({ counts, find, history, recent, nowMs, category, exclude, excludeSeen = false, context }: RecommendInput, as: Pick<RecommendInput, 'history' | 'recent'>): CandidateOf {
  const factorsOf = contextFactors(as.recent, as.history, find, context);
  const isJustBought = justBoughtFilter({ counts, history, recent, nowMs });
  const seen = new Set(excludeSeen ? [...recent.items, ...recent.purchases, ...history.viewed.map(({ sku }) => sku), ...history.bought.map(({ sku }) => sku)] : []);
  return (sku, { stage, base, parts }) => {
    const item = find(sku);
    if (item === undefined || exclude?.has(sku) === true || seen.has(sku)) return [];
    if (category !== undefined && item.category !== category) return [];
    if (isJustBought(sku)) return [];
    const factors = factorsOf(item);
    return [{ item, stage, factors, score: base * productOf(factors), ...(parts && { parts }) }];
  };
}

/** Categories the user looks at, the most looked at first, take turns. */
function inCategories(counts: Counts, categories: readonly string[]): string[] {
  const lists = categories.map((category) => counts.top('trending', category));
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_none, at) => lists.flatMap((list) => list[at] ?? [])).flat();
}

function fallbackLists({ counts, recent, newest, category, without }: RecommendInput): readonly (readonly [FallbackStage, readonly string[]])[] {
  const looked = [...recent.categories].toSorted(([, a], [, b]) => b - a).slice(0, 5).map(([name]) => name);
  const all: readonly (readonly [FallbackStage, readonly string[]])[] = [
    ['trending_in_category', inCategories(counts, category === undefined ? looked : [category])],
    ['trending', counts.top('trending', null)],
    ['popular', category === undefined ? counts.top('popular', null) : counts.top('popular', category)],
    ['newest', newest],
  ];
  return all.filter(([stage]) => without?.has(stage) !== true);
}
