import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { createTestDatabase } from '@millrace/testing';
import { Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { CatalogSchema } from '../src/database.ts';
import { digestRoutes } from '../src/digest.routes.ts';
import { exportRoutes } from '../src/export.routes.ts';
import { applyRoutes } from '../src/apply.routes.ts';
import { createIdempotencyStore } from '../src/idempotency.repository.ts';
import { importRoutes } from '../src/import.routes.ts';
import { merchantRoutes } from '../src/merchant.routes.ts';
import { migrations } from '../src/migrations/index.ts';
import { productRoutes } from '../src/product.routes.ts';
import { createWriteProducts } from '../src/write-products.ts';

export interface Answer { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown>; readonly text: string }

export interface CatalogApp {
  readonly pool: Pool;
  call(method: string, path: string, options?: { body?: unknown; raw?: NonNullable<RequestInit['body']>; headers?: Record<string, string> }): Promise<Answer>;
  /** The lines of an import's answer; the last one is the report. */
  import(file: NonNullable<RequestInit['body']>, query?: string, contentType?: string): Promise<{ lines: Record<string, unknown>[]; report: Record<string, unknown> }>;
  close(): Promise<void>;
}

const anyObject = z.record(z.string(), z.unknown());
const parse = (text: string): Record<string, unknown> => (text === '' ? {} : anyObject.parse(JSON.parse(text)));

/** The service's routes over a database of its own; only the relay and the engines are left out. */
export async function startCatalogApp(): Promise<CatalogApp> {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, name: 'catalog-api', max: 4 });
  const db = createKysely<CatalogSchema>(pool);
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const logger = createLogger('test', 'silent');
  const write = createWriteProducts(db, () => undefined);
  const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes: ['products:read', 'products:write'] }) };
  const internal = Router().use('/internal/products/apply', authenticate({ verify: async () => ({ issuer: 'pos', subject: 'pos', scopes: [] }) }, ['pos'])).use('/internal', exportRoutes({ readDb: db }), digestRoutes({ readDb: db }), applyRoutes({ write, defaultCurrency: 'USD' }), problemDetails(logger));
  const handlers = [
    internal, authenticate(verifier, ['gateway']), importRoutes({ db, atomicPool: pool, write, wake: () => undefined, defaultCurrency: 'USD' }),
    productRoutes({ db, write, idempotency: createIdempotencyStore(db), defaultCurrency: 'USD' }), merchantRoutes({ db }),
  ];
  const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers }), { host: '127.0.0.1', port: 0 });
  const base = `http://127.0.0.1:${server.port}`;
  const call: CatalogApp['call'] = async (method, path, { body, raw, headers = {} } = {}) => {
    const answer = await fetch(base + path, { method, headers: { authorization: 'Bearer t', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, ...(body !== undefined ? { body: JSON.stringify(body) } : raw !== undefined && { body: raw }) });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: /json$|problem/.test(answer.headers.get('content-type')?.split(';')[0] ?? '') && !text.includes('\n{') && !(answer.headers.get('content-type') ?? '').includes('ndjson') ? parse(text) : {} };
  };
  return {
    pool,
    call,
    import: async (file, query = '', contentType = 'application/x-ndjson') => {
      const answer = await call('POST', `/api/products/import${query}`, { raw: file, headers: { 'content-type': contentType } });
      const lines = answer.text.split('\n').filter(Boolean).map(parse);
      return { lines, report: lines.at(-1) ?? {} };
    },
    close: async () => {
      await server.close(0);
      await pool.end();
      await database.drop();
    },
  };
}
