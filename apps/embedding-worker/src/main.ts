import { withMetrics, withTracing } from '@millrace/bus';
import { productUpdates } from '@millrace/contracts';
import { openDatabase } from '@millrace/database';
import { authenticate, problemDetails } from '@millrace/http';
import { createBacklogCheck, createExportReader, createVerification, createVersionSource, rebuildRoutes, runAsLeader, startFreshnessReporter } from '@millrace/projection';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openRemoteEmbedders, openVectorAdmin } from '@millrace/vector-engines';
import { every, openIdentitySigner, openIdentityVerifier, runService, untilDone } from '@millrace/service';
import { configSchema } from './config.ts';
import type { EmbeddingSchema } from './database.ts';
import { fillLive } from './fill-live.ts';
import { followProducts } from './follow-products.ts';
import { migrations } from './migrations/index.ts';
import { openBus } from './open-bus.ts';
import { openRebuilds } from './open-rebuilds.ts';
import { reconciledCollection } from './reconciled-collection.ts';
import { traceRoutes } from './trace.routes.ts';

/** I3: each store purges its own tombstones. */
const TOMBSTONE_DAYS = 30;
const PURGE_EVERY_MS = 3_600_000;
/** A minute's budget comes back: it is waited for. */
const BUDGET_WAIT_MS = 61_000;
const GROUP = 'embedding-worker';
const LABELS = { topic: productUpdates.name, group: GROUP };

void runService({
  name: 'embedding-worker',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const stopping = new AbortController();
    const db = await openDatabase<EmbeddingSchema>({ url: config.EMBEDDING_WORKER_DATABASE_URL, name: 'embedding-worker', max: 4, migrations }, { logger, health, onClose });
    const admin = await openVectorAdmin(config, logger);
    onClose(() => admin.close());
    health.addCheck('vectors', () => admin.ping());
    const bus = await openBus(config, logger, metrics);
    onClose(() => bus.close());

    const directUrl = config.DATABASE_DIRECT_URL ?? config.EMBEDDING_WORKER_DATABASE_URL;
    const catalogue = { baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'embedding-worker' };
    const readExport = createExportReader(catalogue);
    const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'embedding-worker' });
    onClose(() => closeRedis(redis));
    const source = createVersionSource(catalogue);
    const lag = () => bus.lag(productUpdates, GROUP);
    const lead = (lock: string) => <T>(work: (lost: AbortSignal) => Promise<T>) => runAsLeader({ directUrl, lock: `millrace:embedding:${lock}` }, work);
    const embedders = openRemoteEmbedders({ config, redisUrl: config.REDIS_URL, service: 'embedding-worker', timeoutMs: config.EMBEDDING_TIMEOUT_MS, attempts: 4, batchSize: config.EMBEDDING_BATCH_SIZE, budgetWaitMs: BUDGET_WAIT_MS, logger, metrics });
    onClose(() => embedders.close());
    const building = openRebuilds({ config, admin, bus, db, openRemote: embedders.open, lag, logger, metrics, readExport, source, asLeader: lead('fit') });
    onClose(() => building.close());
    const { rebuilds, collections, lane, health: liveHealth } = building;
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the first fill failed, it will be tried again') };
    const bootstrap = (): Promise<unknown> => untilDone(() => fillLive({ admin, collections, readExport, bus, rebuild: rebuilds.look, logger }, stopping.signal), retry);
    const verification = createVerification({
      store: 'vectors', db, schema: 'embedding', source, target: reconciledCollection({ admin, collections, bus }), lag, config,
      asLeader: lead('verify'), metrics, logger, signal: stopping.signal,
    });
    internal.use(authenticate(await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'embedding-worker'), ['gateway']), verification.routes, rebuildRoutes('vectors', rebuilds), traceRoutes({ admin, collections }), problemDetails(logger));
    onClose(() => stopping.abort());
    await bootstrap();

    const backlog = createBacklogCheck(lag);
    health.addCheck('backlog', backlog.check);
    const freshness = startFreshnessReporter({ redis, keys: keysFor(config.REDIS_URL), store: 'vectors', lag, metrics, logger });
    onClose(() => freshness.stop());
    const handle = withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })(followProducts({ collections, lane, health: liveHealth, bus, onVisible: (timestamps) => [freshness.visible(timestamps), backlog.progressed()] })));
    await bus.subscribe(productUpdates, { group: GROUP, onHeartbeat: (timestamp) => freshness.visible([timestamp]), onGroupCreated: async () => void (await bootstrap()) }, handle);
    onClose(verification.start());
    onClose(every(PURGE_EVERY_MS, { what: 'old tombstones', logger }, () => admin.purgeTombstones(TOMBSTONE_DAYS)));
    onClose(() => stopping.abort());
    logger.info({ topic: productUpdates.name, dimensions: config.VECTOR_DIMENSION }, 'consuming');
  },
});
