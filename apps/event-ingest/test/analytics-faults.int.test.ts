import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import { connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { countInteractions } from '../src/analytics/count-events.ts';
import { readCounts } from '../src/analytics/analytics.repository.ts';
import { openAnalytics } from '../src/analytics/open-analytics.ts';
import { recount } from '../src/analytics/recount.ts';
import { createSources } from '../src/analytics/sources.ts';
import { readUnflushed } from '../src/analytics/unflushed.ts';
import { configSchema } from '../src/config.ts';
import { delivery, did, HOUR, retention } from './analytics-kit.ts';
import { countRows, startPlane, WRITER } from './ingest-kit.ts';
import type { Instance, Plane } from './ingest-kit.ts';

const own: (() => unknown)[] = [];
let plane: Plane;
let door: Instance;
let redis: Redis;

beforeAll(async () => {
  plane = await startPlane();
  door = await plane.startInstance();
  redis = connectRedis(plane.redis.url, { role: 'background', name: 'test' });
  own.push(() => redis.disconnect());
  const logger = createLogger('test', 'silent');
  const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', REDIS_URL: plane.redis.url, EVENT_INGEST_DATABASE_URL: plane.databaseUrl, ANALYTICS_ROLLUP_MS: '50' });
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(plane.redis.url, { role, name: 'test' }), logger, blockMs: 50, retryBaseMs: 5, claimIdleMs: 300, leaseMs: 500 });
  own.push(() => bus.close());
  await openAnalytics({ config, logger, metrics: createMetrics('test'), keys: createKeys(), bus, isErased: () => false, writerGroup: WRITER, onClose: (step) => void own.push(step) }).start();
  await door.startWriter();
});
afterAll(async () => {
  for (const step of own.toReversed()) await step();
  await plane.close();
});

/** In whole hours that are over, so that they may be recounted. */
const range = { from: Math.floor(Date.now() / HOUR) * HOUR - 4 * HOUR, to: Math.floor(Date.now() / HOUR) * HOUR - HOUR, stepMs: HOUR, granularity: 'hour' } as const;
const sources = () => createSources(redis, createKeys());
const counted = async (): Promise<number> => [...(await readCounts(plane.pool, range, await readUnflushed(redis, sources()))).values()].reduce((sum, of) => sum + (of.get('view') ?? 0), 0);

let sent = 0;
async function send(events: number): Promise<void> {
  for (let n = 0; n < events; n += 1) {
    const answer = await door.call('POST', '/api/event', { user_id: n, asin: `p${n % 20}`, event_type: 'view', event_id: randomUUID(), timestamp: range.from + HOUR + n });
    if (answer.status === 200) sent += 1;
  }
}

describe('counts by time', () => {
  it('have each event once after Redis was killed under load', async () => {
    for (let kill = 0; kill < 2; kill += 1) {
      const sending = send(200);
      await eventually(() => sent > kill * 200 + 80);
      await plane.redis.kill();
      await plane.redis.restart();
      await sending;
    }
    await eventually(async () => (await counted()) === sent && (await countRows(plane.pool)) === sent, { everyMs: 100 });
  });

  it('go on while Redis has no memory left, so that the stream gets room', async () => {
    await redis.config('SET', 'maxmemory', '1');
    await expect(redis.set('x', 'y')).rejects.toThrow('OOM');
    const full = { redis, sources: sources() };
    await countInteractions(full)([{ ...did('click', { atMs: range.from + HOUR }), meta: { ...did('click').meta, timestamp: new Date(range.from + HOUR).toISOString() } }], delivery(9));
    await redis.config('SET', 'maxmemory', '0');
    expect((await readUnflushed(redis, full.sources)).some(({ deltas }) => deltas.some(({ kind }) => kind === 'click'))).toBe(true);
  });

  it('go on after Redis was flushed, with nothing twice, and are whole again after a recount', async () => {
    // What an instance of its own sends again is only what it sent just now: that is counted, and not committed yet.
    door = await plane.startInstance();
    await send(1);
    await eventually(async () => (await counted()) === sent);
    await redis.flushall();
    await send(50);
    await eventually(async () => (await countRows(plane.pool)) === sent && (await counted()) >= 50, { everyMs: 100 });
    const { removed } = await recount({ pool: plane.pool, redis, sources: sources(), retention, lagsMs: async () => [0] }, { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() });
    expect(removed).toBe(0);
    await eventually(async () => (await counted()) === sent, { everyMs: 100 });
    expect(await redis.smembers(createKeys().analyticsSources)).toContain('interactions:0');
  });
});
