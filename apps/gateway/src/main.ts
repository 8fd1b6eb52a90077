import { readFile } from 'node:fs/promises';
import { parsePartitions } from '@millrace/bus';
import { operations, scopes, topics } from '@millrace/contracts';
import { openDatabase } from '@millrace/database';
import { createHttpApp, startHttpServer } from '@millrace/http';
import { openBus } from '@millrace/open-bus';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentitySigner, runService } from '@millrace/service';
import { createAsyncApi } from './asyncapi.ts';
import { createServiceClient } from './ask-service.ts';
import { appendAudit } from './audit.repository.ts';
import { bodyBudget } from './body-budget.ts';
import { brokerNames, createBusAccess } from './bus-access.ts';
import { browserCors, createKnownOrigins, publishablePaths } from './browser-cors.ts';
import { cachePolicy } from './cache/cache-policy.ts';
import { cacheRoutes } from './cache/cache.routes.ts';
import { openCache } from './cache/open-cache.ts';
import { configSchema } from './config.ts';
import type { GatewaySchema } from './database.ts';
import { checkRepetitions, idempotencyPolicy } from './idempotency/idempotency.policy.ts';
import { createIdempotencyStore } from './idempotency/idempotency-store.ts';
import { followErasures } from './erase-users.ts';
import { driftRoutes } from './drift.routes.ts';
import { docsRoutes } from './docs.routes.ts';
import { createFront } from './front.ts';
import { findOrigins, registerDevelopmentKey, registerDevelopmentPublishableKey } from './key.repository.ts';
import { auditRoutes } from './keys/audit.routes.ts';
import { openDelegate } from './keys/delegation.ts';
import { keyRoutes } from './keys/key.routes.ts';
import { openCallers } from './keys/open-callers.ts';
import { toLimitSettings } from './limits/config.ts';
import { openLimits } from './limits/open-limits.ts';
import { createStrangerLimit } from './limits/stranger-limit.ts';
import { callerRoute } from './mcp/caller.routes.ts';
import { mcpPolicy } from './mcp/mcp-policy.ts';
import { migrations } from './migrations/index.ts';
import { createOpenApi } from './openapi.ts';
import { openUpstreams } from './open-upstreams.ts';
import { pageRoutes } from './pages/page.routes.ts';
import { openPlans } from './plans/open-plans.ts';
import { erasePlansOf } from './plans/plan.repository.ts';
import { readyRoute } from './ready.routes.ts';
import { rebuildRoutes } from './rebuilds.routes.ts';
import { openResilience } from './resilience/open-resilience.ts';
import { serveOperations, toRouter } from './route-table.ts';
import { security } from './security.ts';
import { openSessions } from './sessions/open-sessions.ts';
import { sessionRoutes } from './sessions/sessions.routes.ts';
import { openShedding } from './shedding/open-shedding.ts';
import { uploadPolicy } from './slow-clients/upload-policy.ts';
import { deadLetterRoutes, streamRoutes } from './streams.routes.ts';
import { traceRoutes } from './trace.routes.ts';
import { trackerRoute } from './tracker.routes.ts';

/** A caller waits for whatever the gateway asks its database. */
const DATABASE_TIMES = { statementTimeoutMs: 10_000, answerTimeoutMs: 12_000 };

void runService({
  name: 'gateway',
  configSchema,
  async start({ config, logger, metrics, health, onClose }) {
    const db = await openDatabase<GatewaySchema>({ url: config.GATEWAY_DATABASE_URL, name: 'gateway', migrations, ...DATABASE_TIMES }, { logger, health, onClose });
    if (config.DEVELOPMENT_KEY_FILE !== undefined) await registerDevelopmentKey(db, (await readFile(config.DEVELOPMENT_KEY_FILE, 'utf8')).trim(), scopes);
    if (config.DEVELOPMENT_PUBLISHABLE_KEY_FILE !== undefined) await registerDevelopmentPublishableKey(db, (await readFile(config.DEVELOPMENT_PUBLISHABLE_KEY_FILE, 'utf8')).trim());

    const shared = { keys: keysFor(config.REDIS_URL), partitions: parsePartitions(config.BUS_PARTITIONS), logger, metrics };
    // Many small changes at once are one purge, and reading them holds up no call. Not a readiness check: only the operations on streams need it.
    const events = await openBus({ config, name: 'gateway', partitions: shared.partitions, logger, metrics, batchSize: 100 });
    onClose(() => events.close());
    const bus = createBusAccess({ admin: events.admin(topics.map(({ topic }) => topic)), ping: () => events.ping(), broker: brokerNames[events.features.engine] });
    // A caller waits: fails within 500 ms.
    const requestRedis = connectRedis(config.REDIS_URL, { role: 'request', name: 'gateway-requests' });
    onClose(() => closeRedis(requestRedis));
    const { authenticators, feeds, isKnownKey } = await openCallers({ config, logger, onClose, db, events, relay: { ...shared, durable: events.durable } });

    const upstreams = openUpstreams({ config, metrics, onClose });
    const signer = await openIdentitySigner(config.INTERNAL_KEY_FILE);
    const services = createServiceClient({
      signer,
      addresses: { 'catalog-api': config.CATALOG_API_INTERNAL_URL, 'es-sync-worker': config.ES_SYNC_WORKER_INTERNAL_URL, 'embedding-worker': config.EMBEDDING_WORKER_INTERNAL_URL },
    });
    const caching = await openCache({ config, bus: events, logger, metrics, onClose });
    const limits = config.RATE_LIMITS_ENABLED ? openLimits({ redisUrl: config.REDIS_URL, operations, settings: toLimitSettings(config), logger, metrics }) : undefined;
    onClose(() => limits?.close());
    const guardCallers = config.RATE_LIMITS_ENABLED ? createStrangerLimit({ perMinute: config.RATE_LIMIT_STRANGERS_PER_MINUTE, trustedProxies: config.TRUSTED_PROXIES, isKnownKey, metrics }) : undefined;
    checkRepetitions(operations);
    const idempotency = idempotencyPolicy({ store: createIdempotencyStore(requestRedis, shared.keys), logger });
    const sessions = openSessions(config, requestRedis);
    const delegate = await openDelegate(config.INTERNAL_KEY_FILE);
    const plans = openPlans({ config, logger, metrics, onClose, db, operations, sessions, delegate });
    await followErasures({ bus: events, metrics, port: config.PORT, stores: [{ store: 'sessions', erase: (user) => sessions.eraseUser(user) }, { store: 'gateway.plans', erase: (user) => erasePlansOf(db, user) }] });
    const shedding = openShedding({ operations, limitMs: config.SHED_LAG_MS, logger, metrics });
    onClose(() => shedding.close());
    const resilience = openResilience({ operations, retryPercent: config.UPSTREAM_RETRY_PERCENT, logger, metrics });
    /** Around the answers of services, also where a page asks for them. */
    const ofAnswers = [...(caching ? [cachePolicy(caching, operations)] : []), resilience.policy];
    const served = serveOperations({
      ...authenticators, guardCallers, operations, upstreams, logger, signer, delegate,
      // Outermost first.
      policies: [shedding.policy, bodyBudget({ totalBytes: config.HTTP_BODY_BYTES, callerBytes: config.HTTP_CALLER_BODY_BYTES, metrics }), feeds.policy, uploadPolicy(), ...(limits ? [limits.policy] : []), mcpPolicy(limits), idempotency, ...ofAnswers],
      local: {
        ...streamRoutes(bus, shared.partitions), ...deadLetterRoutes(bus), ...driftRoutes(services), ...rebuildRoutes(services), ...traceRoutes(services, bus),
        ...keyRoutes(db), ...auditRoutes(db), ...callerRoute(), ...cacheRoutes(caching?.cache), ...sessionRoutes(sessions), ...plans.routes, ...pageRoutes({ upstreams, signer, policies: ofAnswers, metrics }),
      },
      audit: (entry) => appendAudit(db, entry),
    });
    const docs = docsRoutes({ openapi: createOpenApi(operations), asyncapi: createAsyncApi(topics) });
    const pages = browserCors(publishablePaths(operations), createKnownOrigins(() => findOrigins(db, { isProduction: config.NODE_ENV === 'production' }), logger));
    const guards = security(config.CORS_ORIGINS);
    const app = createHttpApp({ logger, metrics, handlers: [pages, ...guards, readyRoute(health), docs, trackerRoute(), toRouter(served)], front: createFront(served, guards) });
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT, requestTimeoutMs: 3_600_000, headersTimeoutMs: config.HTTP_HEADERS_TIMEOUT_MS, maxConnections: config.HTTP_MAX_CONNECTIONS });
    onClose(() => server.close());
    onClose(() => Object.values(upstreams).forEach((upstream) => upstream.endFeeds()));
    plans.start(server.port);
    logger.info({ port: server.port, routes: operations.length }, 'listening');
  },
});
