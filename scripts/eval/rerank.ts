// npm run eval -- rerank: would a bonus for where the words stand improve the embedded engine's order? Each candidate moves products inside of their
// tier; cross-validation says what choosing the best of them would be worth on queries that it was not chosen on.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Product } from '@millrace/contracts';
import { openEmbeddedSearchReader } from '@millrace/search';
import type { SearchHit } from '@millrace/search';
import { indexEmbedded } from './engines.ts';
import { loadIcecat } from './icecat.ts';
import type { JudgedQuery } from './icecat.ts';
import { ndcgAt10, pairedDifference } from './metrics.ts';

const DEPTH = 300;
const FOLDS = 10;
/** All terms and fewer terms lie this far apart; scores are compared inside. */
const TIER = 1_000;
const WEIGHTS = [0.05, 0.1, 0.2, 0.4, 10];

/** From 0 to 1: how much the product has of what the bonus is for. */
type Bonus = (words: readonly string[], product: Product) => number;

const wordsOf = (text: string): string[] => (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => word.replace(/(?<=\w{3})s$/, ''));

const BONUSES: Readonly<Record<string, Bonus>> = {
  'the name has all words': (words, { name }) => (words.every((word) => wordsOf(name).includes(word)) ? 1 : 0),
  'share of the words in the name': (words, { name }) => words.filter((word) => wordsOf(name).includes(word)).length / words.length,
  'the name has the phrase': (words, { name }) => (` ${wordsOf(name).join(' ')} `.includes(` ${words.join(' ')} `) ? 1 : 0),
  'early in the name': (words, { name }) => {
    const places = words.map((word) => wordsOf(name).indexOf(word));
    return places.includes(-1) ? 0 : 1 / (1 + Math.min(...places));
  },
  'the brand': (words, { brand }) => (words.every((word) => wordsOf(brand ?? '').includes(word)) ? 1 : 0),
  'a short description': (_words, { description }) => 1 / (1 + (description ?? '').length / 500),
};

interface Found { readonly query: JudgedQuery; readonly hits: readonly SearchHit[] }

/** NDCG@10 of each query with the bonus; scores are shares of the query's best one. */
const scoresWith = (found: readonly Found[], bonus: Bonus, weight: number): number[] =>
  found.map(({ query, hits }) => {
    const words = wordsOf(query.text);
    const best = Math.max(...hits.map(({ score }) => score % TIER));
    const ranked = hits.map(({ product, score }) => ({ sku: product.sku, tier: Math.floor(score / TIER), value: (score % TIER) / best + weight * bonus(words, product) }));
    return ndcgAt10(ranked.toSorted((a, b) => b.tier - a.tier || b.value - a.value || (a.sku < b.sku ? -1 : 1)).map(({ sku }) => sku), query.grades);
  });

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Each fold is scored with the candidate that was best on the others. */
function crossValidated(candidates: readonly (readonly number[])[]): number {
  const queries = candidates[0]?.length ?? 0;
  const fold = (at: number): number => at % FOLDS;
  return mean(
    Array.from({ length: queries }, (_, at) => {
      const trained = candidates.toSorted((a, b) => mean(b.filter((_value, i) => fold(i) !== fold(at))) - mean(a.filter((_value, i) => fold(i) !== fold(at))));
      return trained[0]?.[at] ?? 0;
    }),
  );
}

async function main(): Promise<void> {
  const icecat = loadIcecat();
  if (icecat === undefined) {
    console.log('skipped: the shared data folder (MILLRACE_SHARED, else ../shared) has no icecat-19k');
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'millrace-rerank-'));
  await indexEmbedded(directory, icecat.products);
  const reader = openEmbeddedSearchReader({ directory, timeoutMs: 30_000 });
  try {
    const judged = icecat.queries.filter(({ grades }) => [...grades.values()].some((grade) => grade > 0));
    const found: Found[] = [];
    for (const query of judged) found.push({ query, hits: (await reader.search({ q: query.text, currency: 'USD', sort: 'relevance', limit: DEPTH })).hits });
    const present = scoresWith(found, () => 0, 0);
    const candidates = Object.entries(BONUSES).flatMap(([bonus, of]) => WEIGHTS.map((weight) => ({ bonus, weight, scores: scoresWith(found, of, weight) })));
    console.log(`${judged.length} queries, NDCG@10 ${mean(present).toFixed(4)} as it is`);
    console.table(
      candidates
        .map(({ bonus, weight, scores }) => ({ bonus, weight, ndcg: mean(scores), ...pairedDifference(scores, present) }))
        .toSorted((a, b) => b.ndcg - a.ndcg)
        .slice(0, 12)
        .map(({ bonus, weight, ndcg, low, high, better, worse }) => ({ bonus, weight, 'NDCG@10': Number(ndcg.toFixed(4)), from: Number(low.toFixed(4)), to: Number(high.toFixed(4)), better, worse })),
    );
    console.log(`choosing the best of all of these and of the present order, ${FOLDS}-fold cross-validated: ${crossValidated([present, ...candidates.map(({ scores }) => scores)]).toFixed(4)}`);
  } finally {
    await reader.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
