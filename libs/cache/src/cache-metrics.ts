import { infoOfMasters } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { LRUCache } from 'lru-cache';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export const outcomes = ['near', 'hit', 'stale', 'stale_error', 'collapsed', 'miss', 'bypass'] as const;
/**
 * near: from this process' memory; hit: fresh from Redis; stale: while one asks again; stale_error: because the origin failed; collapsed: the answer
 * that another call was waiting for; miss: from the origin; bypass: from the origin without looking (Redis is away, the call is not for the cache).
 */
export type Outcome = (typeof outcomes)[number];

export interface CacheMetrics {
  count(operation: string, outcome: Outcome, ageMs?: number): void;
  fill(id: string, result: 'stored' | 'dropped' | 'not_kept' | 'failed', keptMs?: number): void;
  error(): void;
  purge(scope: 'tags' | 'all'): void;
  evictedNear(): void;
  /** Calls by operation and outcome since the start. */
  calls(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>>;
}

export interface CacheMetricsDeps {
  readonly registry: Registry;
  readonly redis: Redis;
  readonly near: () => { readonly bytes: number; readonly entries: number };
  readonly isOn: () => boolean;
  readonly waiting: () => number;
}

const INFO = ['used_memory', 'maxmemory', 'evicted_keys', 'expired_keys'] as const;
export type RedisMemory = Readonly<Record<(typeof INFO)[number], number>>;

/** Sums over the masters. Rejects where one does not answer. */
export async function readMemory(redis: Redis): Promise<RedisMemory> {
  const rows = await infoOfMasters(redis, INFO);
  const sum = (at: number): number => rows.reduce((total, row) => total + Number(row[at] ?? 0), 0);
  return { used_memory: sum(0), maxmemory: sum(1), evicted_keys: sum(2), expired_keys: sum(3) };
}

const UNUSED_MAX = 20_000;

/** Of answers that this instance stored: which of them it never gave again. Others may have. */
function watchUnused(registers: Registry[]) {
  const expired = new Counter({
    name: 'cache_expired_unused_total', help: 'Answers that ended, without a hit here, since this instance stored them', registers, collect: () => void watched.purgeStale(),
  });
  const watched = new LRUCache<string, true>({ max: UNUSED_MAX, ttl: 1, dispose: (_value, _id, reason) => { if (reason === 'expire') expired.inc(); } });
  return { stored: (id: string, keptMs: number) => void watched.set(id, true, { ttl: Math.max(1, keptMs) }), used: (id: string) => void watched.delete(id) };
}

/** Makes a gauge that is read with each scrape. */
const gaugesOf = (registry: Registry) => (name: string, help: string, read: () => number): void => registry.registerMetric(new Gauge({ name, help, registers: [], collect() { this.set(read()); } }));

/** The gauges of Redis' memory are asked for with each scrape; a Redis that is away leaves them as they were. */
function watchRedis({ redis, registry, isOn, waiting }: CacheMetricsDeps): void {
  const registers = [registry];
  const gauge = gaugesOf(registry);
  gauge('cache_redis_up', '0: Redis did not answer in time, nothing is asked of it until a ping is answered', () => (isOn() ? 1 : 0));
  gauge('cache_redis_waiting', 'Commands to Redis that are not answered yet', waiting);
  const evicted = new Gauge({ name: 'cache_redis_evicted_keys', help: 'Keys that Redis has evicted since its start', registers });
  const limit = new Gauge({ name: 'cache_redis_max_bytes', help: 'maxmemory of Redis', registers });
  const collect = async (used: Gauge): Promise<void> => {
    const memory = isOn() ? await readMemory(redis).catch(() => undefined) : undefined;
    if (!memory) return;
    used.set(memory.used_memory);
    evicted.set(memory.evicted_keys);
    limit.set(memory.maxmemory);
  };
  registry.registerMetric(new Gauge({ name: 'cache_redis_bytes', help: 'used_memory of Redis', registers: [], collect() { return collect(this); } }));
}

export function createCacheMetrics(deps: CacheMetricsDeps): CacheMetrics & { readonly used: (id: string) => void } {
  const registers = [deps.registry];
  const calls = new Counter({ name: 'cache_calls_total', help: 'Calls of cached operations by what they got', labelNames: ['operation', 'outcome'], registers });
  const ages = new Histogram({ name: 'cache_hit_age_seconds', help: 'Age of the answers that were given from the cache', labelNames: ['operation'], buckets: [0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600], registers });
  const fills = new Counter({ name: 'cache_fills_total', help: 'Answers of origins: stored, dropped (purged meanwhile), not_kept (not for the cache), failed', labelNames: ['result'], registers });
  const errors = new Counter({ name: 'cache_redis_errors_total', help: 'Commands that Redis refused or did not answer in time', registers });
  const purges = new Counter({ name: 'cache_purges_total', help: 'Purges by this instance', labelNames: ['scope'], registers });
  const evictions = new Counter({ name: 'cache_near_evictions_total', help: 'Answers that had to leave the memory of this process early', registers });
  const gauge = gaugesOf(deps.registry);
  gauge('cache_near_bytes', 'Answers in the memory of this process', () => deps.near().bytes);
  gauge('cache_near_entries', 'The same, their number', () => deps.near().entries);
  watchRedis(deps);
  const unused = watchUnused(registers);
  return {
    count: (operation, outcome, ageMs) => {
      calls.inc({ operation, outcome });
      if (ageMs !== undefined) ages.observe({ operation }, ageMs / 1_000);
    },
    used: (id) => unused.used(id),
    fill: (id, result, keptMs) => {
      fills.inc({ result });
      if (keptMs !== undefined) unused.stored(id, keptMs);
    },
    error: () => errors.inc(),
    purge: (scope) => purges.inc({ scope }),
    evictedNear: () => evictions.inc(),
    calls: async () => {
      const found: Record<string, Record<string, number>> = {};
      for (const { labels, value } of (await calls.get()).values) (found[String(labels.operation)] ??= {})[String(labels.outcome)] = value;
      return found;
    },
  };
}
