import { withMetrics, withTracing } from '@millrace/bus';
import { productUpdates } from '@millrace/contracts';
import { openDatabase } from '@millrace/database';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createBacklogCheck, createExportReader, createVerification, createVersionSource, rebuildRoutes, runAsLeader, startFreshnessReporter } from '@millrace/projection';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { RedisRole } from '@millrace/redis-kit';
import { openIdentitySigner, openIdentityVerifier, runService, searchEngineOf, untilDone } from '@millrace/service';
import { adminRoutes } from './admin.routes.ts';
import { configSchema } from './config.ts';
import type { SearchSchema } from './database.ts';
import { fillLive } from './fill-live.ts';
import { followProducts } from './follow-products.ts';
import { migrations } from './migrations/index.ts';
import { openBus } from './open-bus.ts';
import { openRebuilds } from './open-rebuilds.ts';
import { openSearch } from './open-search.ts';
import { reconciledIndex } from './reconciled-index.ts';
import { startSweepSchedule } from './sweep-schedule.ts';
import { SWEEP_ROWS, createSweepRun } from './sweep-run.ts';
import { findLastSweep, forgetSweeps } from './sweep.repository.ts';
import { createSyncTracker } from './sync-tracker.ts';
import { traceRoutes } from './trace.routes.ts';

const GROUP = 'es-sync-worker';
const LABELS = { topic: productUpdates.name, group: GROUP };

void runService({
  name: 'es-sync-worker',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const stopping = new AbortController();
    const db = await openDatabase<SearchSchema>({ url: config.ES_SYNC_WORKER_DATABASE_URL, name: 'es-sync-worker', max: 4, migrations }, { logger, health, onClose });
    const connect = (role: RedisRole, silentSocketMs?: number) => connectRedis(config.REDIS_URL, { role, name: `es-sync-worker:${role}`, ...(silentSocketMs !== undefined && { silentSocketMs }) });
    const keys = keysFor(config.REDIS_URL);
    const redis = connect('background');
    onClose(() => closeRedis(redis));
    const tracker = createSyncTracker(redis);
    const admin = await openSearch(config);
    onClose(() => admin.close());
    health.addCheck('search', () => admin.ping());
    const bus = await openBus(config, logger, metrics);
    onClose(() => bus.close());
    onClose(() => stopping.abort());

    const directUrl = config.DATABASE_DIRECT_URL ?? config.ES_SYNC_WORKER_DATABASE_URL;
    const lead = (lock: string) => <T>(work: (lost: AbortSignal) => Promise<T>) => runAsLeader({ directUrl, lock: `millrace:search:${lock}` }, work);
    const catalogue = { baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'es-sync-worker' };
    const readExport = createExportReader(catalogue);
    const source = createVersionSource(catalogue);
    const { rebuilds, indexes, lane, health: liveHealth } = await openRebuilds({ config, admin, tracker, bus, db, logger, metrics, readExport, source, asLeader: lead('resync') });
    onClose(() => indexes.close());
    onClose(() => rebuilds.close());
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the first fill failed, it will be tried again') };
    const bootstrap = (): Promise<unknown> => untilDone(() => fillLive({ admin, indexes, tracker, readExport, bus, logger, rebuild: rebuilds.look }, stopping.signal), retry);
    // Before the first fill, which may last or fail: a resync is the way out then.
    const routes = adminRoutes({ admin, tracker, rebuilds, findLastSweep: (index) => findLastSweep(db, index), forgetSweeps: () => forgetSweeps(db) });
    const lag = () => bus.lag(productUpdates, GROUP);
    const verification = createVerification({
      store: 'search', db, schema: 'search', source, target: reconciledIndex({ admin, indexes, tracker, bus, logger }), lag, config,
      asLeader: lead('verify'), metrics, logger, signal: stopping.signal,
    });
    const fromGateway = authenticate(await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'es-sync-worker'), ['gateway']);
    internal.use(fromGateway, verification.routes, rebuildRoutes('search', rebuilds), traceRoutes({ admin, tracker }), problemDetails(logger));
    const app = createHttpApp({ logger, metrics, handlers: [fromGateway, routes] });
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    await bootstrap();

    const backlog = createBacklogCheck(lag);
    health.addCheck('backlog', backlog.check);
    const freshness = startFreshnessReporter({ redis, keys, store: 'search', lag, metrics, logger });
    onClose(() => freshness.stop());
    const handle = withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })(followProducts({ tracker, indexes, lane, health: liveHealth, bus, onVisible: (timestamps) => [freshness.visible(timestamps), backlog.progressed()] })));
    await bus.subscribe(productUpdates, { group: GROUP, onHeartbeat: (timestamp) => freshness.visible([timestamp]), onGroupCreated: async () => void (await bootstrap()) }, handle);
    const schedule = await startSweepSchedule({
      connect, logger, prefix: keys.jobsPrefix, queue: 'search-sweep', everyMs: config.SYNC_SWEEP_INTERVAL_MS,
      run: createSweepRun({ readExport, tracker, indexes, admin, db, bus, logger, overlapMs: config.SYNC_SWEEP_OVERLAP_MS, batchRows: SWEEP_ROWS[searchEngineOf(config)], asLeader: lead('sweep'), signal: stopping.signal }),
    });
    onClose(() => schedule.close());
    onClose(verification.start());
    logger.info({ port: server.port, topic: productUpdates.name }, 'consuming');
  },
});
