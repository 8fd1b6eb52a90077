import { closeRedis, connectRedis, infoOfMasters, keysFor, onReconnect, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import { createCacheMetrics, readMemory } from './cache-metrics.ts';
import type { RedisMemory } from './cache-metrics.ts';
import { createNearCache } from './near-cache.ts';
import { createOwedPurges } from './owed-purges.ts';
import { createRedisSwitch } from './redis-switch.ts';
import { createResponseCache } from './response-cache.ts';
import type { ResponseCache } from './response-cache.ts';
import { createSharedStore } from './shared-store.ts';

export interface OpenResponseCacheOptions {
  /** Of a Redis that may evict: `redis://`, `redis-cluster://`, `redis-sentinel://`. */
  readonly url: string;
  /** Of the connection. */
  readonly name: string;
  readonly registry: Registry;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  /** Longest wait for one answer of Redis. Default 50 ms. */
  readonly timeoutMs?: number;
  /** Answers in this process' memory. Default 32 MiB; 0: none. */
  readonly nearBytes?: number;
  /** Default 1 s. */
  readonly nearMs?: number;
  /** Default 1 s. */
  readonly lockMs?: number;
  /** Where Redis is away so long when it is opened, nothing is purged when it comes; only when it is lost after that. Default 5 s. */
  readonly firstLookMs?: number;
}

export interface CacheState {
  /** Does Redis answer in time, and does it know of every purge? */
  readonly isUsable: boolean;
  readonly calls: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly near: { readonly entries: number; readonly bytes: number };
  /** undefined: it does not answer. */
  readonly redis: RedisMemory | undefined;
}

export interface OpenResponseCache extends ResponseCache {
  state(): Promise<CacheState>;
  close(): Promise<void>;
}

const RETRY_MS = 250;
/** The connection waits so much longer than a caller does: whether an answer is late, the switch decides. */
const COMMAND_GRACE_MS = 500;
const MAX_WAIT_MS = 10_000;

/** The servers behind the connection. One that was restarted has another id: it may have lost purges, but not the answers. */
const serverIds = async (redis: Redis): Promise<string> => (await infoOfMasters(redis, ['run_id'])).map(([id]) => id ?? '').toSorted().join(' ');

/**
 * After a lost connection to a server that is not the one from before, everything is purged. `isUnsure`: it is not known yet whether it is another one; the
 * first commands over a new connection must not read what the purge is to remove.
 */
function watchServers(redis: Redis, firstLookMs: number, purgeAll: () => Promise<void>): { readonly isUnsure: () => boolean } {
  let known: string | undefined;
  // The first look is due.
  let looking = 1;
  const look = async (isFirst: boolean): Promise<void> => {
    looking += 1;
    const ids = await serverIds(redis).catch(() => undefined);
    // Where the first look failed nobody knows who was there before the connection was lost.
    const isOther = ids === undefined || (!isFirst && known !== ids);
    known = ids ?? known;
    if (isOther) await purgeAll();
    looking -= 1;
  };
  void whenReady(redis, firstLookMs).then(() => look(true), () => undefined).then(() => (looking -= 1));
  onReconnect(redis, () => void look(false));
  return { isUnsure: () => looking > 0 };
}

/** A response cache over a connection of its own. Opens without Redis, too. */
export function openResponseCache({ url, name, registry, logger, timeoutMs = 50, nearBytes = 33_554_432, nearMs = 1_000, lockMs = 1_000, firstLookMs = 5_000 }: OpenResponseCacheOptions): OpenResponseCache {
  const redis = connectRedis(url, { role: 'request', name, commandTimeoutMs: timeoutMs + COMMAND_GRACE_MS });
  let waiting = 0;
  const gate = createRedisSwitch({
    timeoutMs, retryMs: RETRY_MS,
    ping: async () => {
      await whenReady(redis, timeoutMs);
      await redis.ping();
    },
    onError: () => metrics.error(),
    onChange: (isOn, error) => {
      if (isOn) logger.info({}, 'the cache can be used again');
      else logger.warn({ err: error }, 'the cache cannot be used now: origins are asked');
    },
  });
  const counted: typeof gate = {
    ...gate,
    attempt: (work) => gate.attempt(async () => {
      waiting += 1;
      try {
        return await work();
      } finally {
        waiting -= 1;
      }
    }),
  };
  const near = createNearCache({ maxBytes: nearBytes, lifetimeMs: nearMs, onEvict: () => metrics.evictedNear() });
  const nearState = (): CacheState['near'] => ({ entries: near.size(), bytes: near.bytes() });
  const metrics = createCacheMetrics({ registry, redis, near: nearState, isOn: () => gate.isOn(), waiting: () => waiting });
  const store = createSharedStore(redis, keysFor(url));
  const owed = createOwedPurges({ retryMs: RETRY_MS, purge: async (tags) => (await counted.attempt(async () => { await store.purge(tags); return true; })) === true });
  const servers = watchServers(redis, firstLookMs, () => cache.purge(undefined));
  const isOwing = (): boolean => servers.isUnsure() || owed.isOwing();
  const cache: ResponseCache = createResponseCache({
    near, store, redis: counted, owed: { ...owed, isOwing }, metrics, lockMs, maxWaitMs: MAX_WAIT_MS, random: Math.random,
    onRefreshFailed: (error, operation) => logger.warn({ err: error, operation }, 'a stale answer could not be replaced'),
  });
  return {
    ...cache,
    state: async () => ({ isUsable: gate.isOn() && !isOwing(), calls: await metrics.calls(), near: nearState(), redis: await gate.attempt(() => readMemory(redis)) }),
    close: async () => {
      gate.close();
      owed.close();
      await closeRedis(redis);
    },
  };
}
