/** What other tools do with the same invoices: the baselines of the shared data's README. */
import type { Split, TestCase } from './online-retail.ts';

export type BaselineRanker = (test: TestCase, isNewOnly: boolean) => readonly string[];

interface Scores { readonly scores: Float64Array; readonly codes: readonly string[] }

const best = ({ scores, codes }: Scores, excluded: ReadonlySet<string>): string[] =>
  codes.map((sku, at) => ({ sku, score: scores[at] ?? 0 })).filter(({ sku }) => !excluded.has(sku)).toSorted((a, b) => b.score - a.score).slice(0, 20).map(({ sku }) => sku);

const ownOf = (test: TestCase): Set<string> => new Set(test.before.flatMap(({ skus }) => skus));

/** Popularity, the customer's own frequency (ties by popularity), and item-kNN: cosine of invoices, whole history. */
export function baselines({ train }: Split): Readonly<Record<'popularity' | 'own frequency' | 'item-kNN', BaselineRanker>> {
  const codes = [...new Set(train.flatMap(({ skus }) => skus))];
  const at = new Map(codes.map((sku, index) => [sku, index]));
  const size = codes.length;
  const together = new Float32Array(size * size);
  const counts = new Float64Array(size);
  for (const { skus } of train) {
    const own = skus.map((sku) => at.get(sku) ?? 0);
    for (const a of own) {
      counts[a] = (counts[a] ?? 0) + 1;
      for (const b of own) if (a !== b) together[a * size + b] = (together[a * size + b] ?? 0) + 1;
    }
  }
  const excludedOf = (test: TestCase, isNewOnly: boolean): ReadonlySet<string> => (isNewOnly ? ownOf(test) : new Set());
  const rank = (scoresOf: (test: TestCase) => Float64Array): BaselineRanker => (test, isNewOnly) => best({ scores: scoresOf(test), codes }, excludedOf(test, isNewOnly));
  return {
    popularity: rank(() => counts),
    'own frequency': rank((test) => {
      const scores = counts.map((count) => count / 1e6);
      for (const sku of test.before.flatMap(({ skus }) => skus)) scores[at.get(sku) ?? 0] = (scores[at.get(sku) ?? 0] ?? 0) + 1;
      return scores;
    }),
    'item-kNN': rank((test) => {
      const scores = new Float64Array(size);
      for (const sku of ownOf(test)) {
        const a = at.get(sku) ?? 0;
        for (let b = 0; b < size; b += 1) scores[b] = (scores[b] ?? 0) + (together[a * size + b] ?? 0) / Math.sqrt((counts[a] ?? 1) * (counts[b] ?? 1));
      }
      return scores;
    }),
  };
}
