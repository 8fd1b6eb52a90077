import { hostname } from 'node:os';
import { parsePartitions } from '@millrace/bus';
import { productUpdates } from '@millrace/contracts';
import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createFreshnessReader } from '@millrace/projection';
import { openBus } from '@millrace/open-bus';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentityVerifier, runService } from '@millrace/service';
import { openVectorReader } from '@millrace/vector-engines';
import { Router } from 'express';
import { applyRoutes } from './apply.routes.ts';
import { configSchema } from './config.ts';
import type { CatalogSchema } from './database.ts';
import { READER_NAME } from './export.repository.ts';
import { digestRoutes } from './digest.routes.ts';
import { exportRoutes } from './export.routes.ts';
import { startHousekeeping } from './housekeeping.ts';
import { createIdempotencyStore } from './idempotency.repository.ts';
import { importRoutes } from './import.routes.ts';
import { merchantRoutes } from './merchant.routes.ts';
import { migrations } from './migrations/index.ts';
import { openSearch } from './open-engines.ts';
import { openRelevance } from './open-relevance.ts';
import { openSearches } from './open-searches.ts';
import { productRoutes } from './product.routes.ts';
import { startProductRelay } from './product-relay.ts';
import { relevanceRoutes } from './relevance.routes.ts';
import { searchRoutes } from './search.routes.ts';
import { startSearchAnalytics } from './search-analytics.ts';
import { searchCountRoutes } from './search-count.routes.ts';
import { similarRoutes } from './similar.routes.ts';
import { traceRoutes } from './trace.routes.ts';
import { createWriteProducts } from './write-products.ts';

/** Services that read the export and its digests. */
const READERS = ['embedding-worker', 'es-sync-worker', 'event-ingest', 'pos', 'recommender'];

void runService({
  name: 'catalog-api',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const pool = createPool({ url: config.CATALOG_API_DATABASE_URL, name: 'catalog-api', max: config.DATABASE_POOL_SIZE, logger });
    onClose(() => pool.end());
    const readPool = createPool({ url: config.CATALOG_API_DATABASE_URL, name: READER_NAME, max: config.DATABASE_POOL_SIZE, logger });
    onClose(() => readPool.end());
    // Of their own: the relay must not wait behind writers, nor writers behind uploads that hold a transaction open.
    const relayPool = createPool({ url: config.CATALOG_API_DATABASE_URL, name: 'catalog-api-relay', max: 3, logger });
    onClose(() => relayPool.end());
    const atomicPool = createPool({ url: config.CATALOG_API_DATABASE_URL, name: 'catalog-api-import', max: 2, logger });
    onClose(() => atomicPool.end());
    const db = createKysely<CatalogSchema>(pool);
    const readDb = createKysely<CatalogSchema>(readPool);
    await waitForSchema(db, migrations, logger);
    health.addCheck('database', () => checkSchemaVersion(readDb, migrations));

    const bus = await openBus({ config, name: 'catalog-api', partitions: parsePartitions(config.BUS_PARTITIONS), logger, metrics });
    onClose(() => bus.close());
    const relay = await startProductRelay({ config, pool: relayPool, topic: productUpdates, bus, logger, metrics });
    onClose(() => relay.close());
    onClose(startHousekeeping(db, logger));
    const search = await openSearch(config);
    onClose(() => search.close());
    const requests = connectRedis(config.REDIS_URL, { role: 'request', name: 'catalog-api' });
    onClose(() => closeRedis(requests));
    const lagMs = createFreshnessReader({ redis: requests, keys: keysFor(config.REDIS_URL), store: 'search' });
    const vectors = await openVectorReader(config, logger);
    onClose(() => vectors.close());

    const relevance = await openRelevance({ db: readDb, bus, pollMs: config.RELEVANCE_POLL_MS, logger, metrics });
    onClose(() => relevance.close());
    const log = await startSearchAnalytics({ db, bus, consumer: `${hostname()}:${config.PORT}`, pseudonymSecret: config.USER_PSEUDONYM_SECRET, isLeading: relay.isLeading, logger, metrics });
    onClose(() => log.close());

    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'catalog-api');
    // All of it first, so that no route is ever open; then who has business where.
    internal.use(authenticate(verifier, ['gateway', ...READERS]), Router().use('/trace', authenticate(verifier, ['gateway'])).use('/products/apply', authenticate(verifier, ['pos'])).use('/products', authenticate(verifier, READERS)));
    const { DEFAULT_CURRENCY: defaultCurrency } = config;
    const write = createWriteProducts(db, relay.wake);
    internal.use(traceRoutes({ readDb }), exportRoutes({ readDb }), digestRoutes({ readDb }), applyRoutes({ write, defaultCurrency }), problemDetails(logger));
    const searches = await openSearches({ config, search, vectors, relevance, readDb, logger, metrics });
    onClose(() => searches.close());
    const routes = [
      importRoutes({ db, atomicPool, write, wake: relay.wake, defaultCurrency }),
      productRoutes({ db: readDb, write, idempotency: createIdempotencyStore(db), defaultCurrency }),
      merchantRoutes({ db }),
      searchRoutes({ ...searches, index: search, lagMs, relevance, log, isHybridByDefault: config.SEARCH_HYBRID, db: readDb, defaultCurrency, logger }),
      relevanceRoutes({ db, live: relevance, tellOthers: relevance.tellOthers }),
      searchCountRoutes({ db: readDb }),
      similarRoutes({ db: readDb, vectors, threshold: config.SIMILARITY_THRESHOLD, logger }),
    ];
    const app = createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...routes] });
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT, requestTimeoutMs: 3_600_000 });
    onClose(() => server.close());
    logger.info({ port: server.port }, 'listening');
  },
});
