import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import type { DirectRoute } from '@millrace/http';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { IdentityVerifier, ServiceContext } from '@millrace/service';
import { readPointer } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { RequestHandler } from 'express';
import { createAnalytics } from './analytics.ts';
import { analyticsRoutes } from './analytics.routes.ts';
import type { Config } from './config.ts';
import { eraseRoutes } from './erase.routes.ts';
import { openErasedSubscribers, refreshInBackground } from './erased-subscribers.ts';
import { createHousekeeping } from './housekeeping.ts';
import type { Housekeeping } from './housekeeping.ts';
import { createIndexMembers } from './index-members.ts';
import { listRoutes } from './list.routes.ts';
import { createLivePointer } from './live-pointer.ts';
import type { LivePointer } from './live-pointer.ts';
import { lookupRoutes } from './lookup.routes.ts';
import { createLookupMetrics, createReplicaMetrics } from './metrics.ts';
import { migrations } from './migrations/index.ts';
import { createPiiReads } from './pii-reads.ts';
import { openSegments } from './segments/open-segments.ts';
import { createSubscriberReader } from './read-subscribers.ts';
import { createReads } from './reads.ts';
import { openSchedule } from './schedule/open-schedule.ts';
import type { Schedule } from './schedule/start-schedule.ts';
import { directSubscriberRoutes, subscriberRoutes } from './subscriber.routes.ts';

export interface Lookup {
  readonly handlers: readonly RequestHandler[];
  /** The lookups of one subscriber, for callers that this verifier knows. */
  readonly direct: (verifier: IdentityVerifier) => readonly DirectRoute[];
  readonly housekeeping: Housekeeping;
  readonly pointer: LivePointer;
  /** Undefined without a drop folder. */
  readonly schedule: Schedule | undefined;
  /** Fails fast while Redis is away. */
  readonly redis: Redis;
}

/** Postgres ends what takes too long itself; one that hangs does not. */
const GRACE_MS = 1_000;

/** The stores of this service and its routes over them. Resolves once the schema is there; Redis may come later. */
export async function openLookup({ config, logger, metrics, health, onClose }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'health' | 'onClose'>): Promise<Lookup> {
  const pool = createPool({ url: config.UT360_LOOKUP_DATABASE_URL, name: 'ut360-lookup', max: 6, logger, statementTimeoutMs: config.UT360_QUERY_TIMEOUT_MS, answerTimeoutMs: config.UT360_QUERY_TIMEOUT_MS + GRACE_MS });
  onClose(() => pool.end());
  const direct = createPool({ url: config.DATABASE_DIRECT_URL ?? config.UT360_LOOKUP_DATABASE_URL, name: 'ut360-lookup:background', max: 3, logger, statementTimeoutMs: 0 });
  onClose(() => direct.end());
  const replica = config.DATABASE_REPLICA_URL === undefined ? undefined : createPool({ url: config.DATABASE_REPLICA_URL, name: 'ut360-lookup:replica', max: 6, logger, statementTimeoutMs: config.UT360_QUERY_TIMEOUT_MS, answerTimeoutMs: config.UT360_QUERY_TIMEOUT_MS + GRACE_MS });
  onClose(() => replica?.end());
  const db = createKysely<unknown>(pool);
  await waitForSchema(db, migrations, logger);
  const keys = keysFor(config.UT360_REDIS_URL);
  const requests = connectRedis(config.UT360_REDIS_URL, { role: 'request', name: 'ut360-lookup' });
  onClose(() => closeRedis(requests));
  const background = connectRedis(config.UT360_REDIS_URL, { role: 'background', name: 'ut360-lookup:background' });
  onClose(() => closeRedis(background));

  const erased = await openErasedSubscribers(pool, config.UT360_ERASURE_SECRET);
  const onNew = (moved: Pointer): void => {
    refreshInBackground(erased, logger);
    segments.columns.follow(moved);
  };
  const pointer = createLivePointer({ pool, first: await readPointer(pool), onBehind: () => void housekeeping.check(), onNew });
  const housekeeping = createHousekeeping({ pool: direct, redis: background, keys, keep: config.UT360_KEEP_GENERATIONS, erased, erasureSecret: config.UT360_ERASURE_SECRET, pointer, logger });
  const schedule = openSchedule({ config, logger, metrics }, direct);
  onClose(() => schedule?.close());
  // One of the two stores is enough to answer.
  health.addCheck('stores', async () => {
    await checkSchemaVersion(db, migrations).catch(async (error: unknown) => {
      if ((await requests.ping().catch(() => undefined)) !== 'PONG') throw error;
    });
  });
  const reads = createReads({ primary: pool, replica, timeoutMs: config.UT360_QUERY_TIMEOUT_MS / 2, onEvent: createReplicaMetrics(metrics) });
  const reader = createSubscriberReader({ redis: requests, keys, reads, pointer, isErased: erased.has, erasedAreKnown: erased.settled, onEvent: createLookupMetrics(metrics, () => pointer) });
  const members = createIndexMembers({ redis: requests, keys, reads, onBroken: (name, at) => housekeeping.repairIndex(name, at) });
  const askPointer = async (): Promise<Pointer> => {
    try {
      return pointer.observe(await requests.get(keys.subscriberPointer('')));
    } catch {
      // What is known stays right for a minute.
      return await pointer.refresh().catch(() => pointer.current);
    }
  };
  const analytics = createAnalytics({ reads, pool: direct });
  const deps = { askPointer, reader, piiReads: createPiiReads(pool, config.UT360_PII_DAILY_QUOTA), members, pointer };
  const segments = openSegments({ config, logger, metrics, onClose, pool, direct, hidden: erased.open, ...deps });
  const handlers = [
    subscriberRoutes(deps), lookupRoutes(deps), listRoutes(deps), segments.routes,
    analyticsRoutes({ analytics, pool, askPointer, refresh: () => pointer.refresh() }),
    eraseRoutes({ stores: { pool: direct, redis: background, keys, erasureSecret: config.UT360_ERASURE_SECRET }, erased }),
  ];
  return { handlers, direct: (verifier) => directSubscriberRoutes(deps, verifier), housekeeping, pointer, schedule, redis: requests };
}
