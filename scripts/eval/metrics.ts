import type { JudgedQuery } from './icecat.ts';

/** Skus for a query, best first, at least 100 where there are as many. */
export type Ranker = (query: string) => Promise<readonly string[]>;

export interface Score { readonly ranker: string; readonly queries: number; readonly ndcgAt10: number; readonly mrrAt10: number; readonly recallAt100: number; readonly p50Ms: number }

const gainAt = (grade: number, rank: number): number => grade / Math.log2(rank + 2);

/** NDCG@10 with linear gain, unjudged = 0 (Järvelin and Kekäläinen 2002). */
export function ndcgAt10(ranked: readonly string[], grades: ReadonlyMap<string, number>): number {
  const gained = ranked.slice(0, 10).reduce((sum, sku, rank) => sum + gainAt(grades.get(sku) ?? 0, rank), 0);
  const ideal = [...grades.values()].toSorted((a, b) => b - a).slice(0, 10).reduce((sum, grade, rank) => sum + gainAt(grade, rank), 0);
  return ideal === 0 ? 0 : gained / ideal;
}

/** Means over the queries that have a relevant product (a grade above 0). */
export async function evaluate(rankers: Readonly<Record<string, Ranker>>, queries: readonly JudgedQuery[]): Promise<Score[]> {
  const judged = queries.filter(({ grades }) => [...grades.values()].some((grade) => grade > 0));
  const scores: Score[] = [];
  for (const [ranker, rank] of Object.entries(rankers)) {
    const times: number[] = [];
    let [ndcg, mrr, recall] = [0, 0, 0];
    await rank('warm up');
    for (const { text, grades } of judged) {
      const started = performance.now();
      const ranked = await rank(text);
      times.push(performance.now() - started);
      const relevant = [...grades].filter(([, grade]) => grade > 0).map(([sku]) => sku);
      const first = ranked.slice(0, 10).findIndex((sku) => relevant.includes(sku));
      ndcg += ndcgAt10(ranked, grades);
      mrr += first === -1 ? 0 : 1 / (first + 1);
      const found = new Set(ranked.slice(0, 100));
      recall += relevant.filter((sku) => found.has(sku)).length / relevant.length;
    }
    const count = judged.length;
    times.sort((a, b) => a - b);
    scores.push({ ranker, queries: count, ndcgAt10: ndcg / count, mrrAt10: mrr / count, recallAt100: recall / count, p50Ms: times[count >> 1] ?? 0 });
  }
  return scores;
}
