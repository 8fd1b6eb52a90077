import { withMetrics, withTracing } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { authenticate, createHttpApp, problemDetails, startHttpServer } from '@millrace/http';
import { createBacklogCheck, createExportReader } from '@millrace/projection';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { every, openIdentitySigner, openIdentityVerifier, runService, untilDone } from '@millrace/service';
import { openVectorReader } from '@millrace/vector-engines';
import { configSchema } from './config.ts';
import { countInteractions } from './count-interactions.ts';
import { createCountMemory } from './count-memory.ts';
import { createCountedPartitions } from './counted-partitions.ts';
import { countsRoutes } from './counts.routes.ts';
import { internalRerankRoutes } from './internal-rerank.routes.ts';
import { createItems, subscribeItems } from './items.ts';
import { createErasedUsers, usersOfInteraction, withoutErased } from './erase-users.ts';
import { openBus } from './open-bus.ts';
import { openCountRebuilds } from './open-count-rebuilds.ts';
import { openDatabases } from './open-databases.ts';
import { openExperiments } from './open-experiments.ts';
import { openLists } from './open-lists.ts';
import { followUsers } from './open-users.ts';
import { listRebuilds } from './rebuild.repository.ts';
import { createRankingLog, purgeRankings, recordImpressions } from './ranking-log.ts';
import { recommendationRoutes } from './recommendation.routes.ts';
import { warmUp } from './recommend-for-user.ts';
import { createRoomCheck } from './room-check.ts';
import { forgetUserCounts } from './user-counts.ts';

const GROUP = 'recommender';
/** Of Redis' maxmemory. Above it only users and items that are known are counted: whoever makes up new ones cannot fill it. */
const MAX_COUNTED_SHARE = 0.75;
const LABELS = { topic: interactions.name, group: GROUP };

void runService({
  name: 'recommender',
  configSchema,
  async start({ config, logger, metrics, health, internal, onClose }) {
    const stopping = new AbortController();
    const { db, locking } = await openDatabases(config, { logger, health, onClose });
    const keys = keysFor(config.REDIS_URL);
    const requests = connectRedis(config.REDIS_URL, { role: 'request', name: 'recommender' });
    onClose(() => closeRedis(requests));
    const background = connectRedis(config.REDIS_URL, { role: 'background', name: 'recommender:counts' });
    onClose(() => closeRedis(background));
    const vectors = await openVectorReader(config, logger);
    onClose(() => vectors.close());
    const bus = await openBus(config, logger, metrics);
    onClose(() => bus.close());
    onClose(() => stopping.abort());
    const erased = createErasedUsers({ db, locking, secret: config.USER_ERASURE_SECRET });
    await erased.refresh();
    const log = createRankingLog({ logger, metrics, erased });
    onClose(() => log.close());

    const items = createItems();
    const signer = await openIdentitySigner(config.INTERNAL_KEY_FILE);
    const readExport = createExportReader({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer, service: 'recommender' });
    const filled = Promise.withResolvers<void>();
    const retry = { signal: stopping.signal, onFailure: (err: unknown) => logger.warn({ err }, 'the products could not be read, it will be tried again') };
    const readAll: typeof readExport = (options, onBatch) => untilDone(() => readExport(options, onBatch), retry);
    await subscribeItems({ bus, items, readExport: readAll, signal: stopping.signal }, filled.resolve);

    const partitions = createCountedPartitions(background, keys);
    const read = createCountedPartitions(requests, keys);
    const live = () => read.live();
    const memory = createCountMemory({ redis: background, metrics });
    const backlog = createBacklogCheck(() => bus.lag(interactions, GROUP));
    health.addCheck('backlog', backlog.check);
    const count = countInteractions({
      redis: background, keys, ttlSeconds: config.COUNT_TTL_DAYS * 86_400, addPartition: (partition) => partitions.add(partition),
      hasRoom: createRoomCheck(background, MAX_COUNTED_SHARE), onCounted: () => backlog.progressed(),
    });
    await bus.subscribe(interactions, { group: GROUP, ordering: 'partition' }, withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })(withoutErased(erased, usersOfInteraction, metrics)(count))));

    const building = connectRedis(config.REDIS_URL, { role: 'background', name: 'recommender:rebuild' });
    onClose(() => closeRedis(building));
    const rebuilds = openCountRebuilds({ config, logger, metrics, onClose, db, redis: building, keys, positions: bus, partitions, signer, group: GROUP });

    const experiments = await openExperiments({ db, locking, bus, erased, keepDays: config.EXPERIMENT_KEEP_DAYS, logger, metrics, onClose });
    const userCounts = { redis: background, keys, partitions: () => partitions.list(), ttlSeconds: config.COUNT_TTL_DAYS * 86_400 };
    const { names, lists } = openLists({ db, locking, redis: requests, keys, live, items, vectors, userCounts, similarTimeoutMs: config.SIMILAR_TIMEOUT_MS, logger, metrics });
    onClose(await followUsers({ locking, forgetCounts: (id) => forgetUserCounts(userCounts, id), flush: () => log.flush(), bus, erased, names, logger, metrics }));
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'recommender');
    internal.use(authenticate(verifier, ['catalog-api']), internalRerankRoutes({ ...lists, log }), problemDetails(logger));
    const routes = [
      recommendationRoutes({ ...lists, log, assign: experiments.assign, recordImpressions: (rankingId, seen) => recordImpressions(db, rankingId, seen) }),
      experiments.routes, countsRoutes({ rebuilds, memory, live, listRebuilds: (limit) => listRebuilds(db, limit) }),
    ];
    const app = createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...routes] });
    await filled.promise.then(() => warmUp(lists));
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    onClose(every(600_000, { what: 'served lists', logger }, () => purgeRankings(db, config.RANKING_KEEP_DAYS)));
    onClose(every(60_000, { what: 'memory of counts', logger }, async () => memory.measure(await live())));
    logger.info({ port: server.port, products: items.size }, 'consuming');
  },
});
