import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRedisStreamsBus } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { newProductSchema } from '@millrace/contracts';
import type { NewProduct, Product } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createTfIdfEmbedder, modelId, productText, serializeModel, textHash, unfittedModel } from '@millrace/embedding';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { connectRedis, whenReady } from '@millrace/redis-kit';
import { openEmbeddedSearchAdmin, openEmbeddedSearchReader } from '@millrace/search';
import { createLogger, createMetrics, createPseudonym } from '@millrace/service';
import { createTestDatabase, testServer } from '@millrace/testing';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader } from '@millrace/vectors';
import type { VectorReader } from '@millrace/vectors';
import { z } from 'zod';
import type { CatalogDb, CatalogSchema } from '../src/database.ts';
import { migrations } from '../src/migrations/index.ts';
import { openRelevance } from '../src/open-relevance.ts';
import type { SharedRelevance } from '../src/open-relevance.ts';
import { createPersonalSearch } from '../src/personal-search.ts';
import type { RerankForUser } from '../src/personal-search.ts';
import { findProducts, insertProduct } from '../src/product.repository.ts';
import { relevanceRoutes } from '../src/relevance.routes.ts';
import { searchCountRoutes } from '../src/search-count.routes.ts';
import { createSearchLog } from '../src/search-log.ts';
import { searchRoutes } from '../src/search.routes.ts';
import { createQueryEmbedder } from '../src/embed-query.ts';
import { createShopSearch } from '../src/shop-search.ts';
import { similarRoutes } from '../src/similar.routes.ts';

export interface Answer { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown> }

export interface ShopInstance {
  readonly bus: RedisStreamsBus;
  readonly relevance: SharedRelevance;
  /** With the scopes that the test's shop has. */
  call(method: string, path: string, options?: { body?: unknown; headers?: Record<string, string> }): Promise<Answer>;
}

export interface Shop {
  readonly db: CatalogDb;
  /** An instance of catalog-api's read side: one database, one index and one Redis for all of them. */
  startInstance(options?: { readonly redisUrl?: string; readonly pollMs?: number; readonly vectors?: Partial<VectorReader>; readonly rerank?: RerankForUser }): Promise<ShopInstance>;
  close(): Promise<void>;
}

type Given = Partial<NewProduct> & { readonly sku: string; readonly name: string };

export interface ShopOptions {
  /** A database of the test Redis that no other suite uses: topics have fixed names. */
  readonly redisDb: number;
  readonly products: readonly Given[];
  readonly scopes?: readonly string[];
}

const PSEUDONYM_SECRET = 'a secret of the test, long enough';
const logger = createLogger('test', 'silent');

export function redisUrlOf(redisDb: number): string {
  const url = new URL(testServer('redis'));
  url.pathname = `/${redisDb}`;
  return url.toString();
}

/** Products in Postgres, in the search index and in the vector store, as the workers would have them. */
async function fill(db: CatalogDb, directory: string, given: readonly Given[]): Promise<void> {
  const products: Product[] = [];
  for (const one of given) products.push(await db.transaction().execute((trx) => insertProduct(trx, newProductSchema.parse(one), 'USD')));
  const search = openEmbeddedSearchAdmin({ directory: join(directory, 'search') });
  const index = await search.createIndex();
  const writer = await search.openWriter(index);
  await writer.apply(products.map((product) => ({ sku: product.sku, version: product.version, product })));
  await search.swapTo(index);
  await writer.close();
  await search.close();
  const model = unfittedModel({ dimensions: 384 });
  const embed = createTfIdfEmbedder(model);
  const vectors = await openEmbeddedVectorAdmin({ directory: join(directory, 'vectors') });
  const collection = await vectors.createCollection({ id: modelId(model), dimensions: 384, document: serializeModel(model) });
  const records = await vectors.openWriter(collection);
  await records.upsert(products.map((product) => {
    const vector = embed(productText(product));
    const { sku, version, name, category, brand, merchant_id, price_minor, currency, stock, image_url } = product;
    return { sku, version, ...(vector && { vector }), textHash: textHash(productText(product)), embeddedAt: '2026-11-01T00:00:00Z', payload: { name, category, brand, merchant_id, price_minor, currency, in_stock: stock !== 0, image_url } };
  }));
  await vectors.swapTo(collection);
  await records.close();
  await vectors.close();
}

export async function startShop({ redisDb, products, scopes = ['search:read', 'admin'] }: ShopOptions): Promise<Shop> {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, name: 'catalog-api', max: 4 });
  const db = createKysely<CatalogSchema>(pool);
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const directory = await mkdtemp(join(tmpdir(), 'millrace-shop-'));
  await fill(db, directory, products);
  const redis = connectRedis(redisUrlOf(redisDb), { role: 'background', name: 'test' });
  await whenReady(redis);
  await redis.flushdb();
  redis.disconnect();
  const closing: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true }), () => database.drop(), () => pool.end()];

  const startInstance: Shop['startInstance'] = async ({ redisUrl = redisUrlOf(redisDb), pollMs = 60_000, vectors: replaced = {}, rerank = async () => ({ reason: 'unavailable' as const }) } = {}) => {
    const metrics = createMetrics('test');
    const bus = createRedisStreamsBus({ connect: (role) => connectRedis(redisUrl, { role, name: 'test' }), blockMs: 50, logger });
    const relevance = await openRelevance({ db, bus, pollMs, logger, metrics });
    const search = openEmbeddedSearchReader({ directory: join(directory, 'search') });
    const vectors: VectorReader = { ...(await openEmbeddedVectorReader({ directory: join(directory, 'vectors') })), ...replaced };
    const log = createSearchLog({ bus, pseudonym: createPseudonym(PSEUDONYM_SECRET), logger, metrics, everyMs: 20 });
    const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes: [...scopes] }) };
    const embedQuery = createQueryEmbedder({ vectors, openRemote: async () => { throw new Error('TF-IDF only'); }, cacheSize: 100, remoteNoise: 0 });
    const shopSearch = createShopSearch({ search, vectors, embedQuery, relevance, findProducts: (skus) => findProducts(db, skus), logger });
    const handlers = [
      authenticate(verifier, ['gateway']), relevanceRoutes({ db, live: relevance, tellOthers: relevance.tellOthers }), searchCountRoutes({ db }),
      searchRoutes({ search: shopSearch, personal: createPersonalSearch({ search: shopSearch, relevance, rerank }), index: search, lagMs: () => 0, relevance, log, isHybridByDefault: false, db, defaultCurrency: 'USD', logger }),
      similarRoutes({ db, vectors, threshold: 0.75, logger }),
    ];
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers }), { host: '127.0.0.1', port: 0 });
    closing.push(() => bus.close(), () => relevance.close(), () => log.close(), () => search.close(), () => vectors.close(), () => server.close(0));
    return { bus, relevance, call: caller(`http://127.0.0.1:${server.port}`) };
  };
  return {
    db,
    startInstance,
    close: async () => {
      for (const step of closing.toReversed()) await step();
    },
  };
}

const anyObject = z.record(z.string(), z.unknown());
const caller = (base: string): ShopInstance['call'] => async (method, path, { body, headers = {} } = {}) => {
  const answer = await fetch(base + path, {
    method, headers: { authorization: 'Bearer t', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : anyObject.parse(JSON.parse(text)) };
};
