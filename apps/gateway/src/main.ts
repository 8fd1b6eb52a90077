import { readFile } from 'node:fs/promises';
import { createRedisBusAdmin, parsePartitions } from '@millrace/bus';
import { operations, scopes, topics } from '@millrace/contracts';
import { openDatabase } from '@millrace/database';
import { createHttpApp, startHttpServer } from '@millrace/http';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentitySigner, runService } from '@millrace/service';
import { createAsyncApi } from './asyncapi.ts';
import { createServiceClient } from './ask-service.ts';
import { appendAudit } from './audit.repository.ts';
import { createAuthenticateKey } from './authenticate-key.ts';
import { createBusAccess, pingRedis } from './bus-access.ts';
import { browserCors, createKnownOrigins, publishablePaths } from './browser-cors.ts';
import { configSchema } from './config.ts';
import type { GatewaySchema } from './database.ts';
import { driftRoutes } from './drift.routes.ts';
import { docsRoutes } from './docs.routes.ts';
import { findKeyOwner, findOrigins, registerDevelopmentKey, registerDevelopmentPublishableKey } from './key.repository.ts';
import { migrations } from './migrations/index.ts';
import { createOpenApi } from './openapi.ts';
import { createUpstream } from './proxy.ts';
import { readyRoute } from './ready.routes.ts';
import { rebuildRoutes } from './rebuilds.routes.ts';
import { routeTable } from './route-table.ts';
import { security } from './security.ts';
import { deadLetterRoutes, streamRoutes } from './streams.routes.ts';
import { traceRoutes } from './trace.routes.ts';
import { trackerRoute } from './tracker.routes.ts';

void runService({
  name: 'gateway',
  configSchema,
  async start({ config, logger, metrics, health, onClose }) {
    const db = await openDatabase<GatewaySchema>({ url: config.GATEWAY_DATABASE_URL, name: 'gateway', migrations }, { logger, health, onClose });
    if (config.DEVELOPMENT_KEY_FILE !== undefined) await registerDevelopmentKey(db, (await readFile(config.DEVELOPMENT_KEY_FILE, 'utf8')).trim(), scopes);
    if (config.DEVELOPMENT_PUBLISHABLE_KEY_FILE !== undefined) await registerDevelopmentPublishableKey(db, (await readFile(config.DEVELOPMENT_PUBLISHABLE_KEY_FILE, 'utf8')).trim());

    // Not a readiness check: only the operations on streams need Redis.
    const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'gateway' });
    onClose(() => closeRedis(redis));
    const bus = createBusAccess({ admin: createRedisBusAdmin({ redis, keys: keysFor(config.REDIS_URL), topics: topics.map(({ topic }) => topic) }), ping: () => pingRedis(redis) });

    const upstreams = {
      'catalog-api': createUpstream('catalog-api', config.CATALOG_API_URL), 'es-sync-worker': createUpstream('es-sync-worker', config.ES_SYNC_WORKER_URL),
      'event-ingest': createUpstream('event-ingest', config.EVENT_INGEST_URL),
      recommender: createUpstream('recommender', config.RECOMMENDER_URL),
      'ut360-lookup': createUpstream('ut360-lookup', config.UT360_LOOKUP_URL),
    };
    for (const upstream of Object.values(upstreams)) onClose(() => upstream.close());
    const signer = await openIdentitySigner(config.INTERNAL_KEY_FILE);
    const services = createServiceClient({
      signer,
      addresses: { 'catalog-api': config.CATALOG_API_INTERNAL_URL, 'es-sync-worker': config.ES_SYNC_WORKER_INTERNAL_URL, 'embedding-worker': config.EMBEDDING_WORKER_INTERNAL_URL },
    });
    const isProduction = config.NODE_ENV === 'production';
    const routes = routeTable({
      operations, upstreams, logger, signer,
      local: { ...streamRoutes(bus, parsePartitions(config.BUS_PARTITIONS)), ...deadLetterRoutes(bus), ...driftRoutes(services), ...rebuildRoutes(services), ...traceRoutes(services, bus) },
      authenticate: createAuthenticateKey({ findKeyOwner: (hash) => findKeyOwner(db, hash), isProduction }),
      audit: (entry) => appendAudit(db, entry),
    });
    const docs = docsRoutes({ openapi: createOpenApi(operations), asyncapi: createAsyncApi(topics) });
    const pages = browserCors(publishablePaths(operations), createKnownOrigins(() => findOrigins(db, { isProduction }), logger));
    const app = createHttpApp({ logger, metrics, handlers: [pages, ...security(config.CORS_ORIGINS), readyRoute(health), docs, trackerRoute(), routes] });
    const server = await startHttpServer(app, { host: config.HOST, port: config.PORT, requestTimeoutMs: 3_600_000 });
    onClose(() => server.close());
    onClose(() => Object.values(upstreams).forEach((upstream) => upstream.endFeeds()));
    logger.info({ port: server.port, routes: operations.length }, 'listening');
  },
});
