// npm run eval -- search [--json FILE]: search quality on the judged queries of icecat-19k, one row an engine.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Product } from '@millrace/contracts';
import { openElasticsearchSearchAdmin, openElasticsearchSearchReader, openEmbeddedSearchAdmin, openEmbeddedSearchReader } from '@millrace/search';
import type { SearchAdmin, SearchReader } from '@millrace/search';
import { loadIcecat } from './icecat.ts';
import { evaluate } from './metrics.ts';
import type { Ranker, Score } from './metrics.ts';
import { createVectorRanker, fitOn } from './vectors.ts';

export { evaluate, loadIcecat };

/** Floors of NDCG@10 on the queries that are here. */
const FLOORS: Readonly<Record<string, number>> = { embedded: 0.785, elasticsearch: 0.77, 'vectors alone': 0.6 };

const rankBy = (reader: SearchReader): Ranker => async (q) =>
  (await reader.search({ q, currency: 'USD', sort: 'relevance', limit: 100 })).hits.map((hit) => hit.product.sku);

async function indexAll(admin: SearchAdmin, products: readonly Product[]): Promise<void> {
  const index = await admin.createIndex();
  const writer = await admin.openWriter(index);
  const started = performance.now();
  for (let at = 0; at < products.length; at += 2_000) {
    const batch = products.slice(at, at + 2_000).map((product) => ({ sku: product.sku, version: product.version, product }));
    const failed = (await writer.apply(batch)).find(({ outcome }) => outcome !== 'applied');
    if (failed !== undefined) throw new Error(`${failed.sku} was not indexed: ${failed.reason ?? failed.outcome}`);
  }
  await writer.close();
  await admin.swapTo(index);
  console.log(`${products.length} products indexed in ${Math.round(performance.now() - started)} ms`);
}

/** Engines to evaluate: their names, rankers, and what to do when all is over. */
async function openEngines(products: readonly Product[]): Promise<{ rankers: Record<string, Ranker>; close: () => Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-eval-'));
  const embedded = openEmbeddedSearchReader({ directory, timeoutMs: 30_000 });
  const closers = [() => embedded.close(), async () => rmSync(directory, { recursive: true, force: true })];
  await indexAll(openEmbeddedSearchAdmin({ directory }), products);
  const rankers: Record<string, Ranker> = { embedded: rankBy(embedded), 'vectors alone': createVectorRanker(products, fitOn(products)) };

  const node = process.env['TEST_ELASTICSEARCH_URL'];
  if (node === undefined || node === '') {
    console.log('elasticsearch: skipped, TEST_ELASTICSEARCH_URL is not set');
  } else {
    const alias = `eval-${randomBytes(5).toString('hex')}`;
    const admin = openElasticsearchSearchAdmin({ node, alias });
    const reader = openElasticsearchSearchReader({ node, alias, timeoutMs: 30_000 });
    closers.push(() => reader.close(), () => admin.dropAll(), () => admin.close());
    await indexAll(admin, products);
    rankers['elasticsearch'] = rankBy(reader);
  }
  return {
    rankers,
    async close() {
      for (const close of closers) await close();
    },
  };
}

/** Of the same queries, as shared/data states it. */
const PLAIN_BM25 = 0.74;

const toRows = (scores: readonly Score[]): object[] =>
  scores.map(({ ranker, ndcgAt10 }) => {
    const goal = FLOORS[ranker];
    return { operation: `search quality, ${ranker}`, value: Number(ndcgAt10.toFixed(4)), unit: 'NDCG@10', baseline: PLAIN_BM25, ratio: Number((ndcgAt10 / PLAIN_BM25).toFixed(3)), goal, met: goal === undefined || ndcgAt10 >= goal };
  });

const round = (value: number): number => Number(value.toFixed(4));

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
  const icecat = loadIcecat();
  if (icecat === undefined) {
    console.log('search evaluation skipped: the shared data folder (MILLRACE_SHARED, else ../shared) has no icecat-19k');
    return;
  }
  const { rankers, close } = await openEngines(icecat.products);
  try {
    const scores = await evaluate(rankers, icecat.queries);
    console.table(scores.map((score) => ({ ...score, ndcgAt10: round(score.ndcgAt10), mrrAt10: round(score.mrrAt10), recallAt100: round(score.recallAt100), p50Ms: Number(score.p50Ms.toFixed(2)), floor: FLOORS[score.ranker] })));
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(toRows(scores), undefined, 2)}\n`);
    if (scores.some(({ ranker, ndcgAt10 }) => ndcgAt10 < (FLOORS[ranker] ?? 0))) process.exitCode = 1;
  } finally {
    await close();
  }
}

if (import.meta.main) await main();
