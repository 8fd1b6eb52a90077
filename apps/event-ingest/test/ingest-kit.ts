import { createRedisStreamsBus } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { createKysely, createLockingPool, createPool, migrateSchema } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { createTestDatabase, startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import type { Pool } from 'pg';
import { z } from 'zod';
import { configSchema } from '../src/config.ts';
import type { EventsDb, EventsSchema } from '../src/database.ts';
import { openErasedUsers } from '../src/erased-users.ts';
import { directEvent, eventRoutes } from '../src/event.routes.ts';
import { createInteractionStore } from '../src/interaction.repository.ts';
import { createItemCache } from '../src/item-cache.ts';
import { findItems } from '../src/item.repository.ts';
import { migrations } from '../src/migrations/index.ts';
import { createMonthPartitions } from '../src/month-partitions.ts';
import { openErasure } from '../src/open-erasure.ts';
import { openIngest } from '../src/open-ingest.ts';
import type { Ingest } from '../src/open-ingest.ts';
import { openQuarantine } from '../src/open-quarantine.ts';
import { quarantineRoutes } from '../src/quarantine.routes.ts';
import type { Quarantine } from '../src/quarantine.ts';
import { userRoutes } from '../src/user.routes.ts';
import { WRITER_STATEMENTS, writeInteractions } from '../src/write-interactions.ts';

const anyObject = z.record(z.string(), z.unknown());
export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: Record<string, unknown>;
}

export interface Instance extends Ingest {
  readonly bus: RedisStreamsBus;
  readonly quarantine: Quarantine;
  readonly metric: (name: string) => Promise<number>;
  /** `body` as JSON unless it is bytes or text. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Subscribes the writer. */
  startWriter(options?: { readonly maxRetries?: number }): Promise<void>;
}

export interface Plane {
  readonly redis: RedisServer;
  /** Of the owner. */
  readonly pool: Pool;
  readonly db: EventsDb;
  readonly databaseUrl: string;
  /** `erasingServices`: whose receipts an erasure waits for; default: nobody's. */
  startInstance(variables?: Readonly<Record<string, string>>, erasingServices?: readonly string[]): Promise<Instance>;
  close(): Promise<void>;
}

const logger = createLogger('test', 'silent');
export const WRITER = 'interactions-writer';
/** No event is deferred because the machine is busy. */
export const patient = { EVENT_REDIS_TIMEOUT_MS: '5000' };

/** A database and a Redis of the test's own, and instances of event-ingest on them, as main.ts wires them. */
export async function startPlane({ redisArguments = ['--appendonly', 'yes', '--appendfsync', 'everysec'] }: { readonly redisArguments?: readonly string[] } = {}): Promise<Plane> {
  const [database, redis] = await Promise.all([createTestDatabase(), startRedisServer(redisArguments)]);
  const pool = createPool({ url: database.url, name: 'test', max: 4 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const db = createKysely<EventsSchema>(pool);
  const closing: (() => unknown)[] = [() => redis.stop(), () => database.drop(), () => pool.end()];

  const startInstance: Plane['startInstance'] = async (variables = {}, erasingServices = []) => {
    const own: (() => unknown)[] = [];
    const onClose = (step: () => unknown): void => void own.push(step);
    closing.push(async () => {
      for (const step of own.toReversed()) await step();
    });
    const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', REDIS_URL: redis.url, EVENT_INGEST_DATABASE_URL: database.url, ...patient, ...variables });
    const metrics = createMetrics('test');
    const instancePool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'instance', max: 4 });
    onClose(() => instancePool.end());
    const locking = createLockingPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'instance' });
    onClose(() => locking.end());
    const erased = await openErasedUsers(instancePool, config.USER_ERASURE_SECRET, metrics);
    const store = createInteractionStore(instancePool, createMonthPartitions(instancePool), erased);
    const instanceDb = createKysely<EventsSchema>(instancePool);
    const items = createItemCache({ load: (skus) => findItems(instanceDb, skus), waitMs: 5_000 });
    const ingest = await openIngest({ config, logger, metrics, onClose, store, items, erased });
    const { quarantine, pool: quarantinePool } = openQuarantine({ config, logger, metrics, onClose, erased });
    const openBus = (maxDeliveries: number): RedisStreamsBus => {
      const bus = createRedisStreamsBus({ connect: (role) => connectRedis(config.REDIS_URL, { role, name: 'test' }), logger, blockMs: 50, retryBaseMs: 5, claimIdleMs: 300, maxDeliveries });
      onClose(() => bus.close());
      return bus;
    };
    const bus = openBus(5);
    const erasure = openErasure({ config, logger, metrics, onClose, pool: instancePool, locking, bus, erased, services: erasingServices });
    // The token's text is its scopes; `t` has what a shop's key has.
    const verifier = { verify: async (token: string) => ({ issuer: 'gateway', subject: 'key_1', scopes: token === 't' ? ['events:write', 'events:read', 'users:erase'] : token.split(',') }) };
    const users = userRoutes({ locking, redis: ingest.redis, keys: keysFor(config.REDIS_URL), ttlSeconds: config.CONTEXT_TTL_SECONDS, erased });
    const handlers = [authenticate(verifier, ['gateway']), eventRoutes({ door: ingest.door, quarantine }), users, quarantineRoutes({ pool: quarantinePool, door: ingest.door, erased }), erasure.routes];
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers, direct: [directEvent({ door: ingest.door, verifier })] }), { host: '127.0.0.1', port: 0 });
    onClose(() => server.close(0));
    if (erasingServices.length > 0) await erasure.follow();
    return {
      ...ingest,
      bus,
      quarantine,
      metric: async (name) => (await metrics.getSingleMetric(name)?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0,
      async call(method, path, body, headers = {}) {
        const isRaw = typeof body === 'string' || body instanceof Uint8Array;
        const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
          method, headers: { authorization: 'Bearer t', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
          ...(body !== undefined && { body: isRaw ? new Uint8Array(Buffer.from(body)) : JSON.stringify(body) }),
        });
        return { status: answer.status, type: answer.headers.get('content-type'), body: anyObject.parse(await answer.json()) };
      },
      async startWriter({ maxRetries = 3 } = {}) {
        await openBus(maxRetries + 1).subscribe(interactions, { group: WRITER, batchSize: WRITER_STATEMENTS * 500 }, writeInteractions({ store, onWritten: () => undefined }));
      },
    };
  };
  return {
    redis, pool, db, databaseUrl: database.url, startInstance,
    async close() {
      for (const step of closing.toReversed()) await step();
    },
  };
}

export const countRows = async (pool: Pool): Promise<number> => (await pool.query<{ count: number }>('select count(*)::int as count from events.interaction_logs')).rows[0]?.count ?? 0;
