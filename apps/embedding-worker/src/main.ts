import { createRedisStreamsBus, parsePartitions, withMetrics, withTracing } from '@millrace/bus';
import { indexUpdates, productUpdates } from '@millrace/contracts';
import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import { parseModel } from '@millrace/embedding';
import { createBacklogCheck, createExportReader, runAsLeader } from '@millrace/projection';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentitySigner, runService, untilDone } from '@millrace/service';
import { createCollections } from './collections.ts';
import { configSchema } from './config.ts';
import type { EmbeddingSchema } from './database.ts';
import { fillLive } from './fill-live.ts';
import { fitModel } from './fit-model.ts';
import { startFitWatch } from './fit-watch.ts';
import { msSinceLastFit, recordFit } from './fit.repository.ts';
import { followProducts } from './follow-products.ts';
import { migrations } from './migrations/index.ts';
import { openVectors } from './open-vectors.ts';

/** I3: each store purges its own tombstones. */
const TOMBSTONE_DAYS = 30;
const PURGE_EVERY_MS = 3_600_000;
const GROUP = 'embedding-worker';

void runService({
  name: 'embedding-worker',
  configSchema,
  async start({ config, logger, metrics, health, onClose }) {
    const stopping = new AbortController();
    const pool = createPool({ url: config.EMBEDDING_WORKER_DATABASE_URL, name: 'embedding-worker', max: 4, logger });
    onClose(() => pool.end());
    const db = createKysely<EmbeddingSchema>(pool);
    await waitForSchema(db, migrations, logger);
    health.addCheck('database', () => checkSchemaVersion(db, migrations));
    const admin = await openVectors(config);
    onClose(() => admin.close());
    health.addCheck('vectors', () => admin.ping());
    const collections = createCollections(admin);
    onClose(() => collections.close());
    const bus = createRedisStreamsBus({
      connect: (role) => connectRedis(config.REDIS_URL, { role, name: `embedding-worker:${role}` }), logger, metrics,
      keys: keysFor(config.REDIS_URL), partitions: parsePartitions(config.BUS_PARTITIONS),
      batchSize: config.PRODUCT_STREAM_BATCH_SIZE, blockMs: config.PRODUCT_STREAM_BLOCK_MS, claimIdleMs: config.PRODUCT_STREAM_CLAIM_IDLE_MS,
      ...(config.PRODUCT_STREAM_CONSUMER !== undefined && { consumer: config.PRODUCT_STREAM_CONSUMER }),
    });
    onClose(() => bus.close());

    const directUrl = config.DATABASE_DIRECT_URL ?? config.EMBEDDING_WORKER_DATABASE_URL;
    const readExport = createExportReader({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'embedding-worker' });
    const fit = (): Promise<unknown> =>
      runAsLeader({ directUrl, lock: 'millrace:embedding:fit' }, async (lost) => {
        const done = await fitModel({ readExport, admin, collections, dimensions: config.VECTOR_DIMENSION, minProducts: config.MODEL_FIT_MIN_PRODUCTS, record: (made) => recordFit(db, made) }, AbortSignal.any([stopping.signal, lost]));
        await bus.publish(indexUpdates, [{ type: 'swapped', store: 'vectors', index: done.collection, all: true }]);
        logger.info({ collection: done.collection, model: done.modelId, fittedOn: done.fittedOn, products: done.rows }, 'model fitted');
        return done;
      });
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the first fill failed, it will be tried again') };
    const bootstrap = (): Promise<unknown> => untilDone(() => fillLive({ admin, collections, readExport, bus, logger, build: fit }, stopping.signal), retry);
    onClose(() => stopping.abort());
    await bootstrap();

    const lag = () => bus.lag(productUpdates, GROUP);
    const backlog = createBacklogCheck(lag);
    health.addCheck('backlog', backlog.check);
    const labels = { topic: productUpdates.name, group: GROUP };
    const handle = withTracing(labels)(withMetrics({ registry: metrics, ...labels })(followProducts({ collections, bus, onHandled: backlog.progressed })));
    await bus.subscribe(productUpdates, { group: GROUP, onGroupCreated: async () => void (await bootstrap()) }, handle);
    const liveModel = async () => {
      const live = await admin.liveCollection();
      return live === undefined ? undefined : parseModel((await admin.modelOf(live)).document);
    };
    const stopWatch = startFitWatch({
      everyMs: config.MODEL_CHECK_INTERVAL_MS, policy: { minProducts: config.MODEL_FIT_MIN_PRODUCTS, minIntervalMs: config.MODEL_FIT_INTERVAL_MS }, logger, lag, fit,
      count: async () => {
        const live = await admin.liveCollection();
        return live === undefined ? undefined : admin.count(live);
      },
      model: liveModel, dimensions: config.VECTOR_DIMENSION,
      msSinceLastFit: () => msSinceLastFit(db),
    });
    onClose(stopWatch);
    const purging = setInterval(() => void admin.purgeTombstones(TOMBSTONE_DAYS).catch((err: unknown) => logger.warn({ err }, 'old tombstones could not be purged')), PURGE_EVERY_MS);
    onClose(() => clearInterval(purging));
    onClose(() => stopping.abort());
    logger.info({ topic: productUpdates.name, dimensions: config.VECTOR_DIMENSION }, 'consuming');
  },
});
