import { randomBytes } from 'node:crypto';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { startPosStub } from '@millrace/pos-stub';
import type { PosStub, PosStubOptions } from '@millrace/pos-stub';
import { createHealth, createLogger, createMetrics } from '@millrace/service';
import { createTestDatabase, startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import type { Pool } from 'pg';
import { z } from 'zod';
import { configSchema } from '../src/config.ts';
import { migrations } from '../src/migrations/index.ts';
import { openPos } from '../src/open-pos.ts';
import type { Pos } from '../src/open-pos.ts';
import { startMemoryCatalogue } from './memory-catalogue.ts';
import type { MemoryCatalogue } from './memory-catalogue.ts';

const anyObject = z.record(z.string(), z.unknown());
export interface Answer { readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers; readonly text: string }
export interface Instance extends Pos {
  call(method: string, path: string, options?: { readonly body?: string | Buffer; readonly headers?: Readonly<Record<string, string>> }): Promise<Answer>;
  readonly logs: string[];
  close(): Promise<void>;
}

export interface Plane {
  readonly stub: PosStub;
  readonly redis: RedisServer;
  readonly catalogue: MemoryCatalogue;
  readonly pool: Pool;
  /** Changes the shop as its owner would. */
  shop(method: 'PUT' | 'DELETE', code: string, body?: unknown): Promise<void>;
  start(variables?: Readonly<Record<string, string | undefined>>, scopes?: readonly string[]): Promise<Instance>;
  close(): Promise<void>;
}

export const WEBHOOK_SECRET = 'a-secret-of-webhooks';

/** A stub of the POS, a catalogue in memory, a database and a Redis of the test's own, and instances of the service on them, as main.ts wires them. */
export async function startPlane(options: PosStubOptions = {}): Promise<Plane> {
  const [database, redis, stub, catalogue] = await Promise.all([createTestDatabase(), startRedisServer(), startPosStub({ products: 250, ...options }), startMemoryCatalogue()]);
  const pool = createPool({ url: database.url, name: 'test', max: 2 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const closing: (() => unknown)[] = [() => database.drop(), () => redis.stop(), () => stub.close(), () => catalogue.close(), () => pool.end()];
  const configured = {
    KIOTVIET_CLIENT_ID: stub.credentials.clientId, KIOTVIET_CLIENT_SECRET: stub.credentials.clientSecret, KIOTVIET_RETAILER: stub.credentials.retailer, POS_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    KIOTVIET_WEBHOOK_SECRET: WEBHOOK_SECRET, KIOTVIET_API_URL: stub.url, KIOTVIET_TOKEN_URL: stub.tokenUrl, POS_TIMEOUT_MS: '10000', POS_CHECK_MS: '50',
  };
  return {
    stub, redis, catalogue, pool,
    async shop(method, code, body) {
      const answer = await fetch(`${stub.url}/_stub/products/${encodeURIComponent(code)}`, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async start(variables = configured, scopes = ['pos:read', 'pos:write']) {
      const own: (() => unknown)[] = [];
      const close = async (): Promise<void> => {
        for (const step of own.splice(0).toReversed()) await step();
      };
      closing.push(close);
      const onClose = (step: () => unknown): void => void own.push(step);
      const given = variables === configured ? configured : Object.hasOwn(variables, 'UNCONFIGURED') ? {} : { ...configured, ...variables };
      const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', POS_DATABASE_URL: database.url, REDIS_URL: redis.url, CACHE_REDIS_URL: redis.url, CATALOG_API_INTERNAL_URL: catalogue.url, ...given });
      const metrics = createMetrics('test');
      const logs: string[] = [];
      const logger = createLogger('test', 'trace', { write: (line) => void logs.push(line) });
      const pos = await openPos({ config, logger, metrics, health: createHealth(), onClose, signer: { sign: async () => 't' } });
      const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes }) };
      const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...pos.handlers] }), { host: '127.0.0.1', port: 0 });
      onClose(() => server.close(0));
      return {
        ...pos, logs, close,
        async call(method, path, { body, headers = {} } = {}) {
          const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { authorization: 'Bearer t', ...headers }, ...(body !== undefined && { body }) });
          const text = await answer.text();
          return { status: answer.status, headers: answer.headers, text, body: anyObject.parse(JSON.parse(text)) };
        },
      };
    },
    async close() {
      for (const step of closing.toReversed()) await step();
    },
  };
}
