import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { ServiceContext } from '@millrace/service';
import { readPointer } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { RequestHandler } from 'express';
import type { Config } from './config.ts';
import { createHousekeeping } from './housekeeping.ts';
import type { Housekeeping } from './housekeeping.ts';
import { createIndexMembers } from './index-members.ts';
import { listRoutes } from './list.routes.ts';
import { createLivePointer } from './live-pointer.ts';
import type { LivePointer } from './live-pointer.ts';
import { lookupRoutes } from './lookup.routes.ts';
import { createLookupMetrics } from './metrics.ts';
import { migrations } from './migrations/index.ts';
import { createPiiReads } from './pii-reads.ts';
import { createSubscriberReader } from './read-subscribers.ts';
import { openSchedule } from './schedule/open-schedule.ts';
import type { Schedule } from './schedule/start-schedule.ts';
import { subscriberRoutes } from './subscriber.routes.ts';

export interface Lookup {
  readonly handlers: readonly RequestHandler[];
  readonly housekeeping: Housekeeping;
  readonly pointer: LivePointer;
  /** Undefined without a drop folder. */
  readonly schedule: Schedule | undefined;
}

/** The stores of this service and its routes over them. Resolves once the schema is there; Redis may come later. */
export async function openLookup({ config, logger, metrics, health, onClose }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'health' | 'onClose'>): Promise<Lookup> {
  const pool = createPool({ url: config.UT360_LOOKUP_DATABASE_URL, name: 'ut360-lookup', max: 6, logger, statementTimeoutMs: config.UT360_QUERY_TIMEOUT_MS });
  onClose(() => pool.end());
  const direct = createPool({ url: config.DATABASE_DIRECT_URL ?? config.UT360_LOOKUP_DATABASE_URL, name: 'ut360-lookup:background', max: 3, logger, statementTimeoutMs: 0 });
  onClose(() => direct.end());
  const db = createKysely<unknown>(pool);
  await waitForSchema(db, migrations, logger);
  const keys = keysFor(config.UT360_REDIS_URL);
  const requests = connectRedis(config.UT360_REDIS_URL, { role: 'request', name: 'ut360-lookup' });
  onClose(() => closeRedis(requests));
  const background = connectRedis(config.UT360_REDIS_URL, { role: 'background', name: 'ut360-lookup:background' });
  onClose(() => closeRedis(background));

  const pointer = createLivePointer({ pool, first: await readPointer(pool), onBehind: () => void housekeeping.check() });
  const housekeeping = createHousekeeping({ pool: direct, redis: background, keys, keep: config.UT360_KEEP_GENERATIONS, pointer, logger });
  const schedule = openSchedule({ config, logger, metrics }, direct);
  onClose(() => schedule?.close());
  // One of the two stores is enough to answer.
  health.addCheck('stores', async () => {
    await checkSchemaVersion(db, migrations).catch(async (error: unknown) => {
      if ((await requests.ping().catch(() => undefined)) !== 'PONG') throw error;
    });
  });
  const reader = createSubscriberReader({ redis: requests, keys, pool, pointer, onEvent: createLookupMetrics(metrics, () => pointer) });
  const members = createIndexMembers({ redis: requests, keys, pool, onBroken: (name, at) => housekeeping.repairIndex(name, at) });
  const askPointer = async (): Promise<Pointer> => {
    try {
      return pointer.observe(await requests.get(keys.subscriberPointer('')));
    } catch {
      // What is known stays right for a minute.
      return await pointer.refresh().catch(() => pointer.current);
    }
  };
  const deps = { askPointer, reader, piiReads: createPiiReads(pool, config.UT360_PII_DAILY_QUOTA), members, pointer };
  return { handlers: [subscriberRoutes(deps), lookupRoutes(deps), listRoutes(deps)], housekeeping, pointer, schedule };
}
