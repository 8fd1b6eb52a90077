import { withMetrics, withTracing } from '@millrace/bus';
import { readContext } from '@millrace/context';
import { interactions } from '@millrace/contracts';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createBacklogCheck, createExportReader } from '@millrace/projection';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentitySigner, openIdentityVerifier, runService, untilDone } from '@millrace/service';
import { Counter } from 'prom-client';
import { configSchema } from './config.ts';
import { countInteractions } from './count-interactions.ts';
import { createCountMemory } from './count-memory.ts';
import { internalRerankRoutes } from './internal-rerank.routes.ts';
import { createItems, subscribeItems } from './items.ts';
import { createErasedUsers, usersOfInteraction, withoutErased } from './erase-users.ts';
import { openBus } from './open-bus.ts';
import { openDatabase } from './open-database.ts';
import { openExperiments } from './open-experiments.ts';
import { followUsers } from './open-users.ts';
import { openVectors } from './open-vectors.ts';
import { createCountedPartitions } from './partitions.ts';
import { createRankingLog, purgeRankings, recordImpressions } from './ranking-log.ts';
import { createCountReader } from './read-counts.ts';
import { recommendationRoutes } from './recommendation.routes.ts';
import { every } from './schedule.ts';
import { createFindSimilar } from './similar-items.ts';
import { createNameBook } from './user-names.ts';

const GROUP = 'recommender';
const LABELS = { topic: interactions.name, group: GROUP };

void runService({
  name: 'recommender',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const stopping = new AbortController();
    const db = await openDatabase({ config, logger, health, onClose });
    const keys = keysFor(config.REDIS_URL);
    const requests = connectRedis(config.REDIS_URL, { role: 'request', name: 'recommender' });
    onClose(() => closeRedis(requests));
    const background = connectRedis(config.REDIS_URL, { role: 'background', name: 'recommender:counts' });
    onClose(() => closeRedis(background));
    const vectors = await openVectors(config);
    onClose(() => vectors.close());
    const bus = openBus(config, logger, metrics);
    onClose(() => bus.close());
    onClose(() => stopping.abort());
    const erased = createErasedUsers(db, config.USER_ERASURE_SECRET);
    await erased.refresh();
    const log = createRankingLog({ db, logger, metrics, erased });
    onClose(() => log.close());

    const items = createItems();
    const readExport = createExportReader({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'recommender' });
    const filled = Promise.withResolvers<void>();
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the products could not be read, it will be tried again') };
    const readAll: typeof readExport = (options, onBatch) => untilDone(() => readExport(options, onBatch), retry);
    await subscribeItems({ bus, items, readExport: readAll, signal: stopping.signal }, filled.resolve);

    const partitions = createCountedPartitions(background, keys);
    const memory = createCountMemory({ redis: background, keys, metrics });
    const backlog = createBacklogCheck(() => bus.lag(interactions, GROUP));
    health.addCheck('backlog', backlog.check);
    const count = countInteractions({
      redis: background, keys, ttlSeconds: config.COUNT_TTL_DAYS * 86_400, addPartition: (partition) => partitions.add(partition),
      onCounted: ({ users, skus }) => {
        backlog.progressed();
        memory.counted(users, skus);
      },
    });
    await bus.subscribe(interactions, { group: GROUP, ordering: 'key' }, withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })(withoutErased(erased, usersOfInteraction, metrics)(count))));

    const experiments = await openExperiments({ db, bus, erased, keepDays: config.EXPERIMENT_KEEP_DAYS, logger, metrics, onClose });
    const unread = new Counter({ name: 'recs_reads_failed_total', help: 'Context, counts or similar products that could not be read for a list', labelNames: ['store'], registers: [metrics] });
    const names = createNameBook({ db, onFailure: () => unread.inc({ store: 'names' }) });
    onClose(await followUsers({ db, redis: background, keys, partitions: () => partitions.list(), flush: () => log.flush(), bus, erased, names, logger, metrics }));
    const lists = {
      namesOf: (userId: string) => names.find(userId),
      readContext: (userId: string) => readContext(requests, keys, userId), counts: createCountReader({ redis: requests, keys, partitions: () => partitions.list() }), items, now: Date.now,
      similarTo: createFindSimilar({ vectors, timeoutMs: config.SIMILAR_TIMEOUT_MS, onFailure: () => unread.inc({ store: 'vectors' }) }),
      onFailure: (err: unknown) => {
        unread.inc({ store: 'redis' });
        logger.debug({ err }, 'a list was made without what Redis knows');
      },
    };
    const routes = recommendationRoutes({ ...lists, log, assign: experiments.assign, recordImpressions: (rankingId, seen) => recordImpressions(db, rankingId, seen) });
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'recommender');
    internal.use('/rerank', authenticate(verifier, ['catalog-api']), internalRerankRoutes({ ...lists, log }), problemDetails(logger));
    const app = createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), routes, experiments.routes] });
    await filled.promise;
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    onClose(every(600_000, logger, () => purgeRankings(db, config.RANKING_KEEP_DAYS)));
    onClose(every(60_000, logger, async () => memory.measure(await partitions.list())));
    logger.info({ port: server.port, products: items.size }, 'consuming');
  },
});
