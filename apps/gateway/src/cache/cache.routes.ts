import type { OpenResponseCache } from '@millrace/cache';
import { getCache, purgeCache } from '@millrace/contracts';
import type { CacheBody } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';
import { cachedOperations, tags } from './cached-operations.ts';

const seconds = (ms: number): number => ms / 1_000;

/** Of this instance, and of the Redis that all share. */
async function describeCache(cache: OpenResponseCache | undefined): Promise<CacheBody> {
  const state = await cache?.state();
  return {
    enabled: cache !== undefined,
    usable: state?.isUsable ?? false,
    operations: cachedOperations.map(({ operation: { operationId }, freshMs, staleWhileRevalidateMs, staleIfErrorMs, notFoundMs }) => {
      const { near = 0, hit = 0, stale = 0, stale_error = 0, collapsed = 0, miss = 0, bypass = 0 } = state?.calls[operationId] ?? {};
      return {
        operation: operationId, fresh_seconds: seconds(freshMs), stale_while_revalidate_seconds: seconds(staleWhileRevalidateMs), stale_if_error_seconds: seconds(staleIfErrorMs), not_found_seconds: seconds(notFoundMs),
        calls: { near, hit, stale, stale_error, collapsed, miss, bypass },
      };
    }),
    near: state?.near ?? { entries: 0, bytes: 0 },
    redis: state?.redis ? { used_bytes: state.redis.used_memory, max_bytes: state.redis.maxmemory, evicted_keys: state.redis.evicted_keys, expired_keys: state.redis.expired_keys } : null,
  };
}

function checkOperation(operation: string): void {
  const known = cachedOperations.map(({ operation: { operationId } }) => operationId);
  if (!known.includes(operation))
    throw new AppError('invalid_request', `no answers of ${operation} are cached: only those of ${known.join(', ')}`, { details: [{ in: 'body', pointer: '/operation', detail: 'is not a cached operation' }] });
}

/** `GET /api/admin/cache`, `POST /api/admin/cache/purge`. `cache` undefined: it is switched off. */
export function cacheRoutes(cache: OpenResponseCache | undefined): LocalRoutes {
  return {
    ...localRoute(getCache, async () => ok(await describeCache(cache))),
    ...localRoute(purgeCache, async ({ body: { tags: wanted, operation } }) => {
      if (operation !== undefined) checkOperation(operation);
      if (!cache) throw new AppError('conflict', 'there is no response cache: CACHE_ENABLED is false');
      await cache.purge(operation === undefined ? wanted : [tags.operation(operation)]);
      return ok({ done: (await cache.state()).isUsable });
    }),
  };
}
