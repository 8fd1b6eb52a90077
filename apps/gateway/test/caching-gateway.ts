import { createRedisStreamsBus } from '@millrace/bus';
import type { EventBus } from '@millrace/bus';
import { openResponseCache } from '@millrace/cache';
import type { OpenResponseCache } from '@millrace/cache';
import { operations } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import type { AuthenticateKeyDeps } from '../src/authenticate-key.ts';
import { cachePolicy } from '../src/cache/cache-policy.ts';
import { cacheRoutes } from '../src/cache/cache.routes.ts';
import { createCachedSearches } from '../src/cache/cached-searches.ts';
import { followUpdates } from '../src/cache/follow-updates.ts';
import { createUpstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';

export interface CachingGateway {
  readonly server: HttpServer;
  readonly cache: OpenResponseCache;
  readonly bus: EventBus;
  close(): Promise<void>;
}

export interface CachingGatewayOptions extends Pick<AuthenticateKeyDeps, 'findKeyOwner'> {
  /** catalog-api. */
  readonly originUrl: string;
  readonly cacheUrl: string;
  readonly busUrl: string;
}

/** A gateway with nothing but its cache, on servers of the test. */
export async function startCachingGateway({ originUrl, cacheUrl, busUrl, findKeyOwner }: CachingGatewayOptions): Promise<CachingGateway> {
  const logger = createLogger('test', 'silent');
  const cache = openResponseCache({ url: cacheUrl, name: 'test', registry: createMetrics('test'), logger, timeoutMs: 20_000 });
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(busUrl, { role, name: 'test' }), keys: keysFor(busUrl), logger, metrics: createMetrics('test') });
  await followUpdates(bus, cache);
  const log = createCachedSearches({ bus, logger, metrics: createMetrics('test'), everyMs: 5 });
  await eventually(async () => (await cache.state()).redis !== undefined && (await cache.state()).isUsable);
  const upstream = createUpstream('catalog-api', originUrl);
  const served = operations.filter(({ service: name, operationId }) => name === 'catalog-api' || operationId === 'getCache' || operationId === 'purgeCache');
  const routes = routeTable({
    operations: served, upstreams: { 'catalog-api': upstream }, local: cacheRoutes(cache), policies: [cachePolicy({ cache, searches: log }, served)], logger,
    authenticate: createAuthenticateKey({ isProduction: true, findKeyOwner }), signer: { sign: async () => 'token' }, audit: async () => undefined,
  });
  const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  const close = async (): Promise<void> => {
    await server.close(0);
    await log.close();
    await bus.close();
    await cache.close();
    await upstream.close();
  };
  return { server, cache, bus, close };
}
