import type { JudgedQuery } from './icecat.ts';

/** Skus for a query, best first, at least 100 where there are as many. */
export type Ranker = (query: string) => Promise<readonly string[]>;

/** Of one query. */
export interface QueryScore { readonly query: string; readonly ndcgAt10: number; readonly mrrAt10: number; readonly recallAt100: number; readonly judgedAt10: number; readonly ms: number }

export interface Score { readonly ranker: string; readonly queries: number; readonly ndcgAt10: number; readonly mrrAt10: number; readonly recallAt100: number; readonly judgedAt10: number; readonly p50Ms: number }

const gainAt = (grade: number, rank: number): number => grade / Math.log2(rank + 2);

/** NDCG@10 with linear gain, unjudged = 0 (Järvelin and Kekäläinen 2002). */
export function ndcgAt10(ranked: readonly string[], grades: ReadonlyMap<string, number>): number {
  const gained = ranked.slice(0, 10).reduce((sum, sku, rank) => sum + gainAt(grades.get(sku) ?? 0, rank), 0);
  const ideal = [...grades.values()].toSorted((a, b) => b - a).slice(0, 10).reduce((sum, grade, rank) => sum + gainAt(grade, rank), 0);
  return ideal === 0 ? 0 : gained / ideal;
}

function scoreOne(ranked: readonly string[], grades: ReadonlyMap<string, number>): Omit<QueryScore, 'query' | 'ms'> {
  const relevant = [...grades].filter(([, grade]) => grade > 0).map(([sku]) => sku);
  const top = ranked.slice(0, 10);
  const first = top.findIndex((sku) => relevant.includes(sku));
  const found = new Set(ranked.slice(0, 100));
  return {
    ndcgAt10: ndcgAt10(ranked, grades),
    mrrAt10: first === -1 ? 0 : 1 / (first + 1),
    recallAt100: relevant.filter((sku) => found.has(sku)).length / relevant.length,
    judgedAt10: top.length === 0 ? 1 : top.filter((sku) => grades.has(sku)).length / top.length,
  };
}

/** Of the queries that have a relevant product (a grade above 0), in their order. */
export async function scoreQueries(rank: Ranker, queries: readonly JudgedQuery[]): Promise<QueryScore[]> {
  const scores: QueryScore[] = [];
  await rank('warm up');
  for (const { text, grades } of queries) {
    if (![...grades.values()].some((grade) => grade > 0)) continue;
    const started = performance.now();
    const ranked = await rank(text);
    scores.push({ query: text, ms: performance.now() - started, ...scoreOne(ranked, grades) });
  }
  return scores;
}

/** Means over the queries; of the times the median. */
export function summarize(ranker: string, scores: readonly QueryScore[]): Score {
  const mean = (of: (score: QueryScore) => number): number => scores.reduce((sum, score) => sum + of(score), 0) / scores.length;
  const times = scores.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return {
    ranker, queries: scores.length, ndcgAt10: mean((score) => score.ndcgAt10), mrrAt10: mean((score) => score.mrrAt10), recallAt100: mean((score) => score.recallAt100),
    judgedAt10: mean((score) => score.judgedAt10), p50Ms: times[scores.length >> 1] ?? 0,
  };
}

/** Means over the queries that have a relevant product (a grade above 0). */
export async function evaluate(rankers: Readonly<Record<string, Ranker>>, queries: readonly JudgedQuery[]): Promise<Score[]> {
  const scores: Score[] = [];
  for (const [ranker, rank] of Object.entries(rankers)) scores.push(summarize(ranker, await scoreQueries(rank, queries)));
  return scores;
}

export interface PairedDifference {
  readonly mean: number;
  /** 95 % interval of the mean by the percentile bootstrap (Efron 1979). */
  readonly low: number;
  readonly high: number;
  readonly better: number;
  readonly worse: number;
}

const RESAMPLES = 10_000;

/** Of the same queries with and without something. The same numbers give the same interval. */
export function pairedDifference(withIt: readonly number[], withoutIt: readonly number[]): PairedDifference {
  const differences = withIt.map((value, at) => value - (withoutIt[at] ?? 0));
  const random = createRandom(20_261_121);
  const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = Array.from({ length: RESAMPLES }, () => meanOf(differences.map(() => differences[Math.floor(random() * differences.length)] ?? 0))).toSorted((a, b) => a - b);
  return {
    mean: meanOf(differences),
    low: means[Math.floor(RESAMPLES * 0.025)] ?? 0,
    high: means[Math.floor(RESAMPLES * 0.975)] ?? 0,
    better: differences.filter((difference) => difference > 1e-9).length,
    worse: differences.filter((difference) => difference < -1e-9).length,
  };
}

/** From 0 to 1, the same numbers for the same seed (mulberry32, public domain). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
