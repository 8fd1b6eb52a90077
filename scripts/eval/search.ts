// npm run eval -- search [--queries] [--json FILE]: search quality on the judged queries of icecat-19k, one row an engine, and what each part of the
// ranking adds to it; --queries names the queries that a part changes.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngines } from './engines.ts';
import { compareHybrid } from './hybrid.ts';
import type { HybridRow } from './hybrid.ts';
import { compareFeatures, mistyped } from './features.ts';
import type { FeatureRow } from './features.ts';
import { loadIcecat } from './icecat.ts';
import { evaluate } from './metrics.ts';
import type { Ranker, Score } from './metrics.ts';
import { createVectorRanker, fitOn } from './vectors.ts';
import { vietnameseProducts, vietnameseQueries } from './vietnamese.ts';

export { evaluate, loadIcecat };

/** Floors of NDCG@10 on the queries that are here. */
const FLOORS: Readonly<Record<string, number>> = { embedded: 0.795, elasticsearch: 0.785, 'vectors alone': 0.6 };
/** What a part of the ranking may cost at most. */
const MAX_COST = 0.005;

/** Of plain SQLite FTS5 (one column, OR) on the same queries, as shared/data/README.md states it. */
const PLAIN_FTS5 = 0.785;

const round = (value: number): number => Number(value.toFixed(4));

const toRows = (scores: readonly Score[], features: readonly FeatureRow[]): object[] => [
  ...scores.map(({ ranker, ndcgAt10 }) => {
    const goal = FLOORS[ranker];
    return { operation: `search quality, ${ranker}`, value: round(ndcgAt10), unit: 'NDCG@10', baseline: PLAIN_FTS5, ratio: Number((ndcgAt10 / PLAIN_FTS5).toFixed(3)), goal, met: goal === undefined ? null : ndcgAt10 >= goal };
  }),
  ...features.map(({ engine, queries, feature, mean }) => ({
    operation: `${feature}, ${engine}, queries ${queries}`, value: round(mean), unit: 'NDCG@10 difference', baseline: null, ratio: null, goal: -MAX_COST, met: mean >= -MAX_COST,
  })),
];

const printScores = (scores: readonly Score[]): void =>
  console.table(
    scores.map(({ ranker, queries, p50Ms, ...means }) => ({ ranker, queries, ...Object.fromEntries(Object.entries(means).map(([name, mean]) => [name, round(mean)])), p50Ms: Number(p50Ms.toFixed(2)), floor: FLOORS[ranker] })),
  );

function printFeatures(features: readonly FeatureRow[], isVerbose: boolean): void {
  console.log('What each part adds to NDCG@10 (with it minus without it; 95 % interval of 10,000 paired resamples):');
  console.table(
    features.map(({ engine, queries, feature, mean, low, high, better, worse }) => ({ engine, queries, feature, delta: round(mean), from: round(low), to: round(high), better, worse })),
  );
  for (const { engine, queries, feature, perQuery } of isVerbose ? features : []) {
    const changed = Object.entries(perQuery).filter(([, delta]) => Math.abs(delta) > 1e-9).toSorted(([, a], [, b]) => a - b);
    if (changed.length > 0) console.log(`${engine}, ${queries}, ${feature}: ${changed.map(([query, delta]) => `${query} ${delta > 0 ? '+' : ''}${delta.toFixed(3)}`).join('; ')}`);
  }
}

function printHybrid(rows: readonly HybridRow[]): void {
  console.log('Ranks of words and vectors fused (hybrid=true), minus words alone; on by default only where the whole interval is above 0:');
  console.table(rows.map(({ engine, ndcgAt10, mean, low, high, better, worse }) => ({ engine, ndcgAt10: round(ndcgAt10), delta: round(mean), from: round(low), to: round(high), better, worse })));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'string' }, queries: { type: 'boolean', default: false } }, allowPositionals: true });
  const icecat = loadIcecat();
  if (icecat === undefined) {
    console.log('search evaluation skipped: the shared data folder (MILLRACE_SHARED, else ../shared) has no icecat-19k');
    return;
  }
  const { engines, close } = await openEngines(icecat.products);
  const shop = await openEngines(vietnameseProducts);
  try {
    const rankersOf = (set: string): Record<string, Ranker> => Object.fromEntries(engines.map((engine) => [engine.name + set, engine.openRanker()]));
    const scores = [
      ...(await evaluate({ ...rankersOf(''), 'vectors alone': createVectorRanker(icecat.products, fitOn(icecat.products)) }, icecat.queries)),
      ...(await evaluate(rankersOf(', mistyped'), mistyped(icecat.queries))),
    ];
    printScores(scores);
    const features = [
      ...(await compareFeatures({ engines, sets: { 'as asked': icecat.queries, mistyped: mistyped(icecat.queries) } })),
      ...(await compareFeatures({ engines: shop.engines, sets: { 'Vietnamese (our own)': vietnameseQueries }, features: ['tones', 'typing_repair', 'corrections'] })),
    ];
    printFeatures(features, values.queries);
    const model = fitOn(icecat.products);
    printHybrid(await compareHybrid(engines, createVectorRanker(icecat.products, model, { limit: 200, minScore: 3 / Math.sqrt(model.dimensions) }), icecat.queries));
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(toRows(scores, features), undefined, 2)}\n`);
    const isWorse = scores.some(({ ranker, ndcgAt10 }) => ndcgAt10 < (FLOORS[ranker] ?? 0)) || features.some(({ mean }) => mean < -MAX_COST);
    if (isWorse) process.exitCode = 1;
  } finally {
    await close();
    await shop.close();
  }
}

if (import.meta.main) await main();
