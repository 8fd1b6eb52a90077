/** The search engines to evaluate, filled with the same products. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Product } from '@millrace/contracts';
import { openElasticsearchSearchAdmin, openElasticsearchSearchReader, openEmbeddedSearchAdmin, openEmbeddedSearchReader } from '@millrace/search';
import type { RankingPart, Relevance, SearchAdmin, SearchReader } from '@millrace/search';
import type { Ranker } from './metrics.ts';

export interface Engine {
  readonly name: string;
  /** Closed with the engines. */
  openReader(without?: readonly RankingPart[]): SearchReader;
  /** Parts of the ranking that are left out, and synonyms, if any. */
  openRanker(options?: { without?: readonly RankingPart[]; relevance?: Relevance }): Ranker;
}

const TIMEOUT_MS = 30_000;
const NOW = new Date('2026-11-21T00:00:00Z');

const rankBy = (reader: SearchReader, relevance: Relevance | undefined): Ranker => async (q) => {
  const expansions = relevance?.forQuery({ q }, NOW).expansions ?? [];
  return (await reader.search({ q, currency: 'USD', sort: 'relevance', limit: 100, expansions })).hits.map((hit) => hit.product.sku);
};

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

/** Makes a live embedded index of the products. */
export const indexEmbedded = (directory: string, products: readonly Product[]): Promise<void> => indexAll(openEmbeddedSearchAdmin({ directory }), products);

/** Embedded always, Elasticsearch where TEST_ELASTICSEARCH_URL names one. */
export async function openEngines(products: readonly Product[]): Promise<{ engines: Engine[]; close: () => Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-eval-'));
  const closers = [async () => rmSync(directory, { recursive: true, force: true })];
  const engineOf = (name: string, open: (without: readonly RankingPart[]) => SearchReader): Engine => {
    const openReader: Engine['openReader'] = (without = []) => {
      const reader = open(without);
      closers.push(() => reader.close());
      return reader;
    };
    return { name, openReader, openRanker: ({ without = [], relevance } = {}) => rankBy(openReader(without), relevance) };
  };
  await indexEmbedded(directory, products);
  const engines: Engine[] = [engineOf('embedded', (without) => openEmbeddedSearchReader({ directory, timeoutMs: TIMEOUT_MS, without }))];

  const node = process.env['TEST_ELASTICSEARCH_URL'];
  if (node === undefined || node === '') {
    console.log('elasticsearch: skipped, TEST_ELASTICSEARCH_URL is not set');
  } else {
    const alias = `eval-${randomBytes(5).toString('hex')}`;
    const admin = openElasticsearchSearchAdmin({ node, alias });
    closers.push(() => admin.close(), () => admin.dropAll());
    await indexAll(admin, products);
    engines.push(engineOf('elasticsearch', (without) => openElasticsearchSearchReader({ node, alias, timeoutMs: TIMEOUT_MS, without })));
  }
  return {
    engines,
    async close() {
      for (const close of closers.toReversed()) await close();
    },
  };
}
