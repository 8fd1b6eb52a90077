import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import type { SampleOptions } from '@millrace/sample-subscribers';
import { createHealth, createLogger, createMetrics } from '@millrace/service';
import { loadFiles, verifyGenerations } from '@millrace/subscribers';
import type { LoadReport, Stores, Verification } from '@millrace/subscribers';
import { createTestDatabase, startRedisServer, startTunnel } from '@millrace/testing';
import type { RedisServer, TestDatabase, Tunnel } from '@millrace/testing';
import { z } from 'zod';
import { configSchema } from '../src/config.ts';
import { migrations } from '../src/migrations/index.ts';
import { openLookup } from '../src/open-lookup.ts';
import type { Lookup } from '../src/open-lookup.ts';

const anyObject = z.record(z.string(), z.unknown());
export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
  readonly headers: Headers;
}

export interface Instance extends Lookup {
  readonly call: (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
  readonly metric: (name: string, value: string, label?: string) => Promise<number>;
  /** Of a metric without labels. */
  readonly gauge: (name: string) => Promise<number>;
  readonly logs: string[];
  readonly metricsText: () => Promise<string>;
}

export interface Plane {
  readonly stores: Stores;
  readonly redis: RedisServer;
  /** Between the instances and Postgres. */
  readonly postgresTunnel: Tunnel;
  readonly directory: string;
  /** Loads sample subscribers: all three files, unless told otherwise. */
  load(sample: SampleOptions): Promise<LoadReport>;
  repair(): Promise<Verification>;
  startInstance(variables?: Readonly<Record<string, string>>, scopes?: readonly string[]): Promise<Instance>;
  close(): Promise<void>;
}

/** A database and a Redis of the test's own, and instances of ut360-lookup on them, as main.ts wires them. */
export async function startPlane({ redisUrl, database: given }: { readonly redisUrl?: string; readonly database?: Pick<TestDatabase, 'url' | 'drop'> } = {}): Promise<Plane> {
  const [database, redis, directory] = await Promise.all([given ?? createTestDatabase(), startRedisServer(), mkdtemp(join(tmpdir(), 'millrace-lookup-'))]);
  const url = redisUrl ?? redis.url;
  const pool = createPool({ url: database.url, name: 'test', max: 4, statementTimeoutMs: 0 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const postgresTunnel = await startTunnel(database.url);
  const client = connectRedis(url, { role: 'background', name: 'test' });
  const stores = { pool, redis: client, keys: keysFor(url) };
  const closing: (() => unknown)[] = [() => rm(directory, { recursive: true }), () => database.drop(), () => redis.stop(), () => pool.end(), () => closeRedis(client), () => postgresTunnel.close()];

  const startInstance: Plane['startInstance'] = async (variables = {}, scopes = ['ut360:read']) => {
    const own: (() => unknown)[] = [];
    const onClose = (step: () => unknown): void => void own.push(step);
    closing.push(async () => {
      for (const step of own.toReversed()) await step();
    });
    const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', UT360_REDIS_URL: url, UT360_LOOKUP_DATABASE_URL: postgresTunnel.url, ...variables });
    const metrics = createMetrics('test');
    const logs: string[] = [];
    const logger = createLogger('test', 'trace', { write: (line) => void logs.push(line) });
    const lookup = await openLookup({ config, logger, metrics, health: createHealth(), onClose });
    for (const connection of [client, lookup.redis]) await whenReady(connection, 60_000);
    const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes }) };
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...lookup.handlers], direct: lookup.direct(verifier) }), { host: '127.0.0.1', port: 0 });
    onClose(() => server.close(0));
    return {
      ...lookup, logs, metricsText: () => metrics.metrics(),
      gauge: async (name) => (await metrics.getSingleMetric(name)?.get())?.values[0]?.value ?? Number.NaN,
      metric: async (name, value, label = 'event') => (await metrics.getSingleMetric(name)?.get())?.values.find(({ labels }) => labels[label] === value)?.value ?? 0,
      async call(method, path, body, headers = {}) {
        const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { authorization: 'Bearer t', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, ...(body !== undefined && { body: JSON.stringify(body) }) });
        const text = await answer.text();
        return { status: answer.status, text, headers: answer.headers, body: text !== '' && /application\/json|problem/.test(answer.headers.get('content-type') ?? '') ? anyObject.parse(JSON.parse(text)) : {} };
      },
    };
  };
  return {
    stores, redis, postgresTunnel, directory, startInstance,
    async load(sample) {
      const { recommendations, profiles, arpu } = await writeSampleFiles({ directory, ...sample });
      return await loadFiles(stores, { files: { recommendations: { path: recommendations }, profiles: { path: profiles }, arpu: { path: arpu } }, limit: { share: 0 }, keep: 1 });
    },
    repair: () => verifyGenerations({ ...stores, keep: 1, repair: true }),
    async close() {
      for (const step of closing.toReversed()) await step();
    },
  };
}
