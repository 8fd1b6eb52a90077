import { randomUUID } from 'node:crypto';
import type { Interaction, SearchEvent } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { connectRedis, createKeys } from '@millrace/redis-kit';
import type { Keys } from '@millrace/redis-kit';
import { createTestDatabase, testServer, uniqueName } from '@millrace/testing';
import type { Pool } from 'pg';
import { createFreshReader } from '../src/analytics/read-analytics.ts';
import { countInteractions, countSearches } from '../src/analytics/count-events.ts';
import { rollUp } from '../src/analytics/roll-up.ts';
import type { Retention } from '../src/analytics/roll-up.repository.ts';
import { createSources } from '../src/analytics/sources.ts';
import { migrations } from '../src/migrations/index.ts';

export const HOUR = 3_600_000;
export const DAY = 86_400_000;
export const retention: Retention = { minutesMs: 48 * HOUR, hoursMs: 90 * DAY };

let place = 0;
const meta = (atMs: number) => {
  place += 1;
  return { id: randomUUID(), timestamp: new Date(atMs).toISOString(), schema: 1, streamId: `${1_000 + place}-0` };
};

/** An event as the bus hands it over; each later in the stream than the one before. */
export const did = (type: Interaction['type'], { atMs = Date.now(), sku = 'a', user = 'u' }: { readonly atMs?: number; readonly sku?: string; readonly user?: string } = {}): Interaction => ({
  type, user_id: user, asin: sku, month: new Date(atMs).toISOString().slice(0, 7), category: 'Audio', brand: null, metadata: {}, meta: meta(atMs),
});
export const searched = (hits: number, over: Partial<SearchEvent> = {}, atMs = Date.now()): SearchEvent => ({
  type: 'executed', query: 'lamp', filters: { currency: 'USD', sort: 'relevance' }, hits, ms: 1, user: null, degraded: false, ...over, meta: meta(atMs),
});

/** Delivered by a bus. */
export const delivery = (partition = 0) => ({ signal: new AbortController().signal, partition, fencingToken: 1 });

/** One for a file: a test empties it. */
export async function openCountsDatabase() {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, name: 'test', max: 8 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  return {
    pool,
    empty: () => pool.query('truncate events.analytics_counts, events.analytics_products, events.analytics_users, events.analytics_rollups, events.interaction_logs'),
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
}

/** Keys of its own in a Redis. */
export function openCounting(pool: Pool, { redisUrl = testServer('redis'), settleMs = 0, isCluster = false } = {}) {
  const redis = connectRedis(redisUrl, { role: 'background', name: 'test' });
  const prefix = uniqueName('analytics');
  const real = createKeys({ cluster: isCluster });
  const keys: Keys = { ...real, analytics: (topic, partition) => real.analytics(`${prefix}:${topic}`, partition), analyticsSources: `${prefix}:sources` };
  const sources = createSources(redis, keys);
  const deps = { redis, sources, pool, retention, settleMs };
  return {
    ...deps, keys,
    count: countInteractions({ redis, sources }),
    countSearches: countSearches({ redis, sources }),
    rollUp: (over: { readonly settleMs?: number } = {}) => rollUp({ ...deps, ...over }),
    /** Until nothing is left in Redis. */
    flush: async () => {
      await rollUp(deps);
      await rollUp(deps);
    },
    fresh: createFreshReader({ redis, sources, pool, lagMs: async () => 0, shareMs: 0, timeoutMs: 30_000 }),
    /** Kind or sku -> count of all days, as Postgres has them. */
    stored: async (granularity = 'day') => {
      const { rows } = await pool.query<{ name: string; count: number }>(
        `select kind as name, sum(count)::bigint as count from events.analytics_counts where granularity = $1::events.granularity group by kind having sum(count) <> 0
         union all select sku, sum(views + clicks + carts + purchases)::bigint from events.analytics_products where granularity = $1::events.granularity group by sku having sum(views + clicks + carts + purchases) <> 0`,
        [granularity],
      );
      return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
    },
    close: () => redis.disconnect(),
  };
}
export type Counting = ReturnType<typeof openCounting>;
