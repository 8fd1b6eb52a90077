import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { SearchUnavailableError, compileRelevance } from '@millrace/search';
import { createLogger, createMetrics } from '@millrace/service';
import { createTestDatabase } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import { VectorsUnavailableError } from '@millrace/vectors';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { CatalogSchema } from '../src/database.ts';
import { migrations } from '../src/migrations/index.ts';
import type { ExecutedSearch } from '../src/search-log.ts';
import { searchRoutes } from '../src/search.routes.ts';
import { similarRoutes } from '../src/similar.routes.ts';

let database: TestDatabase;
let pool: Pool;
let server: HttpServer;
const relevance = compileRelevance({ synonyms: [], rules: [{ id: '1', query: 'two', action: { type: 'hide', select: { brand: 'Other' } } }] });
const logged: ExecutedSearch[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, name: 'test', max: 2 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const db = createKysely<CatalogSchema>(pool);
  const insert = (sku: string, category: string | null, brand: string | null) => pool.query(`insert into catalog.products (sku, version, content_version, merchant_id, name, category, brand, currency, created_at, updated_at) values ($1, 0, 0, 1, 'Lamp', $2, $3, 'USD', now(), now())`, [sku, category, brand]);
  await insert('one', 'lamps', 'Lumo');
  await insert('two', 'lamps', 'Other');
  await insert('three', null, 'Lumo');
  const logger = createLogger('test', 'silent');
  const down = async (): Promise<never> => Promise.reject(new SearchUnavailableError('down'));
  const gone = async (): Promise<never> => Promise.reject(new VectorsUnavailableError('down'));
  const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes: ['search:read', 'products:read'] }) };
  const handlers = [
    authenticate(verifier, ['gateway']),
    searchRoutes({ db, search: down, personal: down, index: { suggest: down, versionOf: down }, lagMs: () => 16_000, relevance, log: { record: (search) => void logged.push(search) }, isHybridByDefault: false, defaultCurrency: 'USD', logger }),
    similarRoutes({ db, vectors: { get: gone, nearest: gone, model: gone }, threshold: 0.75, logger }),
  ];
  server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await server.close();
  await pool.end();
  await database.drop();
});

async function get(path: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { headers: { authorization: 'Bearer x' } });
  expect(answer.status).toBe(200);
  return z.record(z.string(), z.unknown()).parse(await answer.json());
}

describe('while the engines are down', () => {
  it('finds an exact sku in Postgres, says that it is degraded, and nothing else', async () => {
    expect(await get('/api/search?q=one')).toMatchObject({ data: [{ sku: 'one' }], total: 1, degraded: true });
    expect(await get('/api/search?q=lamp')).toMatchObject({ data: [], total: 0, degraded: true, index_lag_ms: 16_000, waited: null });
  });
  it.each(['category=lamps', 'brand=Lumo', 'in_stock=true', 'merchant_id=1'])('shows the exact sku where it passes the filter %s', async (filter) => {
    expect(await get(`/api/search?q=one&${filter}`)).toMatchObject({ total: 1, degraded: true });
  });
  it.each(['category=sofas', 'brand=Other', 'in_stock=false', 'merchant_id=2', 'min_price=1', 'cursor=W10'])('shows nothing that the filter %s leaves out, and no product again on a later page', async (filter) => {
    expect(await get(`/api/search?q=one&${filter}`)).toMatchObject({ data: [], total: 0, degraded: true });
  });
  it('shows no product that a rule hides', async () => {
    expect(await get('/api/search?q=two')).toMatchObject({ data: [], total: 0, degraded: true });
  });
  it('logs the search as one that says nothing of its hits', async () => {
    await get('/api/search?q=two');
    expect(logged.at(-1)).toMatchObject({ query: 'two', hits: 0, degraded: true });
  });
  it('suggests nothing and says so', async () => {
    expect(await get('/api/suggest?q=la')).toEqual({ data: [], degraded: true });
  });
  it('answers similar products from the category, then the brand, each marked', async () => {
    const { data, fallback, degraded, model } = await get('/api/products/one/similar');
    expect(data).toMatchObject([{ sku: 'two', source: 'category' }, { sku: 'three', source: 'brand' }]);
    expect({ fallback, degraded, model }).toEqual({ fallback: true, degraded: true, model: null });
  });
});
