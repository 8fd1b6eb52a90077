import { parsePartitions, SinkUnavailableError } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { announceErasures } from '@millrace/context';
import { erasingServices, erasureReceipts, userErasures, userMerges } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createRelay } from '@millrace/outbox';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import type { Router } from 'express';
import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import type { Config } from './config.ts';
import type { ErasedUsers } from './erased-users.ts';
import { advanceErasure } from './erasure-job.ts';
import { startErasureLoop } from './erasure-loop.ts';
import { saveReceipts } from './erasure.repository.ts';
import { erasureRoutes } from './erasure.routes.ts';

export interface OpenErasureDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  readonly pool: Pool;
  /** For what waits for merges, erasures and writers. */
  readonly locking: Pool;
  readonly bus: ManagedBus;
  readonly erased: ErasedUsers;
  /** Whose receipts a job waits for. */
  readonly services?: readonly string[];
}

export interface Erasure {
  readonly routes: Router;
  /** Subscribes to the receipts; waits for Redis. */
  follow(): Promise<void>;
}

/** A job's id that is none, and the like: no later try takes it. */
const isRefused = (error: unknown): boolean => error instanceof DatabaseError && /^2[23]/.test(error.code ?? '');

const GROUP = 'event-ingest';
const HOUSEKEEPING_MS = 10_000;

/** Erasing users: the routes, the jobs, the receipts of other services, and the outbox by which merges are told to them. Needs no Redis to start. */
export function openErasure({ config, logger, metrics, onClose, pool, locking, bus, erased, services = erasingServices }: OpenErasureDeps): Erasure {
  const keys = keysFor(config.REDIS_URL);
  const partitions = parsePartitions(config.BUS_PARTITIONS);
  const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'event-ingest:erasure' });
  onClose(() => closeRedis(redis));

  const relayPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-outbox', max: 3, logger });
  onClose(() => relayPool.end());
  const relay = createRelay({
    pool: relayPool, directUrl: config.EVENT_INGEST_DATABASE_DIRECT_URL ?? config.EVENT_INGEST_DATABASE_URL, connect: () => connectRedis(config.REDIS_URL, { role: 'background', name: 'event-ingest:relay' }),
    schema: 'events', topics: [userMerges], durable: bus.durable, keys, partitions, logger, metrics,
  });
  onClose(() => relay.close());

  const jobPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-erasure', max: 2, logger });
  onClose(() => jobPool.end());
  const step = { redis, keys, bus, erased, services, patienceMs: config.ERASURE_PATIENCE_SECONDS * 1_000, repeatMs: config.ERASURE_REPEAT_MS };
  const jobs = startErasureLoop({ pool: jobPool, advance: (client, job) => advanceErasure(step, client, job), metrics, logger });
  onClose(() => jobs.close());
  onClose(every(HOUSEKEEPING_MS, { what: 'erasures', logger }, async () => {
    // Again and again: Redis forgets it in a flush, new partitions never heard of it, and this instance may have missed one.
    await erased.refresh();
    if (erased.version() > 0) await announceErasures(redis, keys, erased.version());
    for (const topic of [userMerges, userErasures, erasureReceipts]) await bus.trimAcknowledged(topic, { keep: 0 });
  }));
  return {
    routes: erasureRoutes({ pool, locking, erased, wake: () => jobs.wake() }),
    async follow() {
      await bus.subscribe(erasureReceipts, { group: GROUP }, async (receipts) => {
        await saveReceipts(pool, receipts).catch((error: unknown) => {
          throw isRefused(error) ? error : new SinkUnavailableError('receipts cannot be kept now', { cause: error });
        });
        jobs.wake();
      });
    },
  };
}
