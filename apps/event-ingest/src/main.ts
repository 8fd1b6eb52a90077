import { hostname } from 'node:os';
import { createRedisStreamsBus, parsePartitions, withMetrics, withTracing } from '@millrace/bus';
import { interactions, latestProductUpdates, productUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createBacklogCheck, createExportReader, toProjected } from '@millrace/projection';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentitySigner, openIdentityVerifier, runService, untilDone } from '@millrace/service';
import { openAnalytics } from './analytics/open-analytics.ts';
import { configSchema } from './config.ts';
import type { EventsSchema } from './database.ts';
import { openErasedUsers } from './erased-users.ts';
import { directEvent, eventRoutes } from './event.routes.ts';
import { startHousekeeping } from './housekeeping.ts';
import { createItemCache } from './item-cache.ts';
import { createInteractionStore } from './interaction.repository.ts';
import { findItems, keepItems } from './item.repository.ts';
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
const ITEMS = 'event-ingest';

/** Drafts, archived and deleted products are marked. */
const toChange = (event: ProductUpdate) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product));

void runService({
  name: 'event-ingest',
  configSchema,
  async start({ config, logger, metrics, health, onClose }) {
    const stopping = new AbortController();
    const pool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest', max: 4, logger });
    onClose(() => pool.end());
    const writerPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-writer', max: WRITER_STATEMENTS + 1, logger });
    onClose(() => writerPool.end());
    const db = createKysely<EventsSchema>(pool);
    await waitForSchema(db, migrations, logger);
    const partitions = createMonthPartitions(writerPool);
    const items = createItemCache({ load: (skus) => findItems(db, skus) });
    const erased = await openErasedUsers(pool, config.USER_ERASURE_SECRET, metrics);
    const { door, context, redis } = await openIngest({ config, logger, metrics, onClose, store: createInteractionStore(pool, partitions, erased), items, erased });
    // One of the two is enough to take events.
    health.addCheck('stores', () => (redis.status === 'ready' ? Promise.resolve() : checkSchemaVersion(db, migrations)));

    const keys = keysFor(config.REDIS_URL);
    const openBus = (maxDeliveries: number) => createRedisStreamsBus({
      connect: (role) => connectRedis(config.REDIS_URL, { role, name: `event-ingest:${role}` }), logger, metrics, keys, partitions: parsePartitions(config.BUS_PARTITIONS), maxDeliveries,
      blockMs: config.PRODUCT_STREAM_BLOCK_MS, claimIdleMs: config.PRODUCT_STREAM_CLAIM_IDLE_MS, batchSize: config.PRODUCT_STREAM_BATCH_SIZE,
      consumer: config.PRODUCT_STREAM_CONSUMER ?? `${hostname()}:${config.PORT}`,
    });
    const bus = openBus(5);
    onClose(() => bus.close());
    const writerBus = openBus(config.EVENT_MAX_RETRIES + 1);
    onClose(() => writerBus.close());
    onClose(() => stopping.abort());

    const { quarantine, pool: quarantinePool } = openQuarantine({ config, logger, metrics, onClose, erased });
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'event-ingest');
    const erasure = openErasure({ config, logger, metrics, onClose, pool, bus, erased });
    const analytics = openAnalytics({ config, logger, metrics, onClose, keys, bus, writerGroup: WRITER });
    const live = openLive({ bus, maxClients: config.LIVE_MAX_CLIENTS, metrics, logger });
    const users = userRoutes({ pool, redis, keys, ttlSeconds: config.CONTEXT_TTL_SECONDS, erased });
    const handlers = [authenticate(verifier, ['gateway']), analytics.routes, live.routes, eventRoutes({ door, quarantine }), users, quarantineRoutes({ pool: quarantinePool, door }), erasure.routes];
    const app = createHttpApp({ logger, metrics, handlers, direct: [directEvent({ door, verifier })] });
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    onClose(() => live.close());

    const backlog = createBacklogCheck(() => writerBus.lag(interactions, WRITER));
    const labels = (topic: string, group: string) => ({ topic, group });
    const writing = labels(interactions.name, WRITER);
    await writerBus.subscribe(interactions, { group: WRITER, batchSize: WRITER_STATEMENTS * config.EVENT_WRITER_BATCH_SIZE },
      withTracing(writing)(withMetrics({ registry: metrics, ...writing })(writeInteractions({ store: createInteractionStore(writerPool, partitions, erased), onWritten: backlog.progressed }))));
    health.addCheck('backlog', async () => (redis.status === 'ready' ? backlog.check() : undefined));

    await erasure.follow();
    await analytics.start();
    await bus.subscribe(productUpdates, { mode: 'broadcast', onGap: async () => items.clear() }, items.follow);
    const readExport = createExportReader({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'event-ingest' });
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the first fill failed, it will be tried again') };
    const bootstrap = () => untilDone(() => readExport({ batchSize: 500, signal: stopping.signal }, (changes) => keepItems(db, changes)), retry);
    const following = labels(productUpdates.name, ITEMS);
    await bus.subscribe(productUpdates, { group: ITEMS, onGroupCreated: async () => void (await bootstrap()) },
      withTracing(following)(withMetrics({ registry: metrics, ...following })((events) => keepItems(db, latestProductUpdates(events).map(toChange)))));
    onClose(startHousekeeping({ bus: writerBus, context, partitions, logger }));
    logger.info({ port: server.port }, 'listening');
  },
});
