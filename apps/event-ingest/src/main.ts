import { hostname } from 'node:os';
import { parsePartitions, withMetrics, withTracing } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { checkSchemaVersion, createKysely, createLockingPool, createPool, waitForSchema } from '@millrace/database';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createBacklogCheck } from '@millrace/projection';
import { openBus } from '@millrace/open-bus';
import { keysFor } from '@millrace/redis-kit';
import { openIdentityVerifier, runService } from '@millrace/service';
import { openAnalytics } from './analytics/open-analytics.ts';
import { configSchema } from './config.ts';
import type { EventsSchema } from './database.ts';
import { openErasedUsers } from './erased-users.ts';
import { directEvent, eventRoutes } from './event.routes.ts';
import { followItems } from './follow-items.ts';
import { startHousekeeping } from './housekeeping.ts';
import { interactionExportRoutes } from './interaction-export.routes.ts';
import { createItemCache } from './item-cache.ts';
import { createInteractionStore } from './interaction.repository.ts';
import { findItems } from './item.repository.ts';
import { openLive } from './live/open-live.ts';
import { migrations } from './migrations/index.ts';
import { createMonthPartitions } from './month-partitions.ts';
import { openErasure } from './open-erasure.ts';
import { openIngest } from './open-ingest.ts';
import { openQuarantine } from './open-quarantine.ts';
import { quarantineRoutes } from './quarantine.routes.ts';
import { userRoutes } from './user.routes.ts';
import { WRITER_STATEMENTS, writeInteractions } from './write-interactions.ts';

const WRITER = 'interactions-writer';

void runService({
  name: 'event-ingest',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const stopping = new AbortController();
    const pool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest', max: 4, logger });
    onClose(() => pool.end());
    const writerPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-writer', max: WRITER_STATEMENTS + 1, logger });
    onClose(() => writerPool.end());
    const locking = createLockingPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-users', logger });
    onClose(() => locking.end());
    const db = createKysely<EventsSchema>(pool);
    await waitForSchema(db, migrations, logger);
    const partitions = createMonthPartitions(writerPool);
    const items = createItemCache({ load: (skus) => findItems(db, skus) });
    const erased = await openErasedUsers(pool, config.USER_ERASURE_SECRET, metrics);
    const open = (maxDeliveries: number) => openBus({
      config, name: 'event-ingest', logger, metrics, partitions: parsePartitions(config.BUS_PARTITIONS), maxDeliveries,
      blockMs: config.PRODUCT_STREAM_BLOCK_MS, claimIdleMs: config.PRODUCT_STREAM_CLAIM_IDLE_MS, batchSize: config.PRODUCT_STREAM_BATCH_SIZE,
      consumer: config.PRODUCT_STREAM_CONSUMER ?? `${hostname()}:${config.PORT}`,
    });
    const bus = await open(5);
    onClose(() => bus.close());
    const writerBus = await open(config.EVENT_MAX_RETRIES + 1);
    onClose(() => writerBus.close());
    const { door, context, redis } = await openIngest({ config, bus, logger, metrics, onClose, store: createInteractionStore(pool, partitions, erased), items, erased });
    // One of the two is enough to take events.
    health.addCheck('stores', () => (redis.status === 'ready' ? Promise.resolve() : checkSchemaVersion(db, migrations)));

    const keys = keysFor(config.REDIS_URL);
    onClose(() => stopping.abort());

    const { quarantine, pool: quarantinePool } = openQuarantine({ config, logger, metrics, onClose, erased });
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'event-ingest');
    const erasure = openErasure({ config, logger, metrics, onClose, pool, locking, bus, erased });
    const isErased = (userId: string): boolean => erased.has(userId);
    const analytics = openAnalytics({ config, logger, metrics, onClose, keys, bus, isErased, writerGroup: WRITER });
    const live = openLive({ bus, maxClients: config.LIVE_MAX_CLIENTS, isErased, metrics, logger });
    const users = userRoutes({ locking, redis, keys, ttlSeconds: config.CONTEXT_TTL_SECONDS, erased });
    const handlers = [authenticate(verifier, ['gateway']), analytics.routes, live.routes, eventRoutes({ door, quarantine }), users, quarantineRoutes({ pool: quarantinePool, door, erased }), erasure.routes];
    const app = createHttpApp({ logger, metrics, handlers, direct: [directEvent({ door, verifier })] });
    const exportPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-export', max: 2, logger });
    onClose(() => exportPool.end());
    internal.use(authenticate(verifier, ['recommender']));
    internal.use(interactionExportRoutes({ pool: exportPool, positions: bus, group: WRITER, logger }), problemDetails(logger));
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    onClose(() => live.close());

    const backlog = createBacklogCheck(() => writerBus.lag(interactions, WRITER));
    const writing = { topic: interactions.name, group: WRITER };
    await writerBus.subscribe(interactions, { group: WRITER, batchSize: WRITER_STATEMENTS * config.EVENT_WRITER_BATCH_SIZE },
      withTracing(writing)(withMetrics({ registry: metrics, ...writing })(writeInteractions({ store: createInteractionStore(writerPool, partitions, erased), onWritten: backlog.progressed }))));
    health.addCheck('backlog', async () => (redis.status === 'ready' ? backlog.check() : undefined));

    await erasure.follow();
    await analytics.start();
    await followItems({ config, logger, metrics, bus, db, items, signal: stopping.signal });
    onClose(startHousekeeping({ bus: writerBus, context, partitions, logger }));
    logger.info({ port: server.port }, 'listening');
  },
});
