import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus, SinkUnavailableError } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { interactions, searches } from '@millrace/contracts';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { connectRedis, createKeys } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import { ANALYTICS_GROUP, openAnalytics } from '../src/analytics/open-analytics.ts';
import { countInteractions } from '../src/analytics/count-events.ts';
import { createSources } from '../src/analytics/sources.ts';
import { configSchema } from '../src/config.ts';
import { searched } from './analytics-kit.ts';
import { startPlane, WRITER } from './ingest-kit.ts';
import type { Instance, Plane } from './ingest-kit.ts';

const logger = createLogger('test', 'silent');
const anyObject = z.record(z.string(), z.unknown());
const closing: (() => unknown)[] = [];
let plane: Plane;
let door: Instance;

const openBus = (): RedisStreamsBus => createRedisStreamsBus({ connect: (role) => connectRedis(plane.redis.url, { role, name: 'test' }), logger, blockMs: 50, retryBaseMs: 5, claimIdleMs: 300, leaseMs: 500 });

/** As main.ts wires it. */
async function startAnalytics() {
  const own: (() => unknown)[] = [];
  const metrics = createMetrics('test');
  const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', REDIS_URL: plane.redis.url, EVENT_INGEST_DATABASE_URL: plane.databaseUrl, ANALYTICS_ROLLUP_MS: '50' });
  const bus = openBus();
  own.push(() => bus.close());
  const analytics = openAnalytics({ config, logger, metrics, keys: createKeys(), bus, isErased: () => false, writerGroup: WRITER, settleMs: 20, onClose: (step) => void own.push(step) });
  const verifier = { verify: async (token: string) => ({ issuer: 'gateway', subject: 'key_1', scopes: token.split(',') }) };
  const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), analytics.routes] }), { host: '127.0.0.1', port: 0 });
  own.push(() => server.close(0));
  await analytics.start();
  const close = async (): Promise<void> => {
    for (const step of own.splice(0).toReversed()) await step();
  };
  closing.push(close);
  return {
    close,
    get: async (path: string, { method = 'GET', scopes = 'analytics:read,admin', body }: { readonly method?: string; readonly scopes?: string; readonly body?: unknown } = {}) => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { authorization: `Bearer ${scopes}`, 'content-type': 'application/json' }, ...(body !== undefined && { body: JSON.stringify(body) }) });
      return { status: answer.status, body: anyObject.parse(await answer.json()) };
    },
  };
}

beforeAll(async () => {
  plane = await startPlane();
  door = await plane.startInstance();
});
afterAll(async () => {
  for (const close of closing.toReversed()) await close();
  await plane.close();
});

const log = (event_type: string, asin: string, over: Record<string, unknown> = {}) => door.call('POST', '/api/event', { user_id: randomUUID(), asin, event_type, event_id: randomUUID(), ...over });
const total = z.object({ totals: z.record(z.string(), z.number()), complete_to: z.string(), degraded: z.boolean() });

describe('analytics', () => {
  it('count each event once over two instances, a death between the script and the acknowledgement, and a roll-up, and say how far they are complete', async () => {
    const dying = openBus();
    const redis = connectRedis(plane.redis.url, { role: 'background', name: 'test' });
    const died = Promise.withResolvers<void>();
    const count = countInteractions({ redis, sources: createSources(redis, createKeys()) });
    await dying.subscribe(interactions, { group: ANALYTICS_GROUP, ordering: 'partition' }, async (events, delivery) => {
      await count(events, delivery);
      died.resolve();
      throw new SinkUnavailableError('counted, and dies before it acknowledges');
    });
    const at = new Date().toISOString();
    for (let n = 0; n < 30; n += 1) await log(['view', 'view', 'view', 'add_to_cart', 'purchase'][n % 5] ?? 'view', n % 2 === 0 ? 'even' : 'odd');
    await died.promise;
    const [one, two] = [await startAnalytics(), await startAnalytics()];
    await dying.close();
    redis.disconnect();
    for (let n = 0; n < 10; n += 1) await log('click', 'even');
    const expected = { views: 18, carts: 6, purchases: 6, clicks: 10, ratings: 0 };
    const ask = async (from: typeof one) => total.parse((await from.get('/api/analytics/summary')).body);
    for (const from of [one, two]) await eventually(async () => {
      expect((await ask(from)).totals).toMatchObject(expected);
      return true;
    });
    // Rolled up, it is the same.
    await eventually(async () => (await plane.pool.query('select from events.analytics_counts where kind = \'click\' and count = 10 limit 1')).rowCount === 1);
    const answer = await eventually(async () => {
      const now = await ask(two);
      return now.complete_to > at && !now.degraded && now;
    });
    expect(answer).toMatchObject({ totals: expected });
    expect((await one.get('/api/analytics/summary')).body).toMatchObject({ conversion: { view_to_cart: 0.3333, cart_to_purchase: 1, view_to_purchase: 0.3333 } });
    const top = z.object({ data: z.array(z.record(z.string(), z.unknown())) });
    const byViews = async () => top.parse((await one.get('/api/analytics/products/top?by=views&limit=5&granularity=hour')).body).data;
    expect(new Set((await byViews()).map(({ sku }) => sku))).toEqual(new Set(['even', 'odd']));
    expect(top.parse((await one.get('/api/analytics/products/top?by=clicks&limit=5')).body).data).toEqual([{ sku: 'even', category: null, brand: null, views: 9, clicks: 10, carts: 3, purchases: 3 }]);
    await two.close();
    await log('rate', 'even', { rating: 5 });
    await eventually(async () => (await ask(one)).totals['ratings'] === 1);
    await one.close();
  });

  it('answer a series without gaps, with searches, and the users of each day', async () => {
    const { get, close } = await startAnalytics();
    const at = '2026-03-04T05:06:07Z';
    for (let n = 0; n < 3; n += 1) await log('view', 's', { timestamp: at });
    await door.bus.publish(searches, [{ ...searched(0), meta: { id: randomUUID(), timestamp: at } }]);
    const series = z.object({ data: z.array(z.record(z.string(), z.unknown())), from: z.string(), to: z.string() });
    const ask = async () => series.parse((await get('/api/analytics/timeseries?from=2026-03-03&to=2026-03-06&granularity=day')).body);
    const none = { views: 0, clicks: 0, carts: 0, purchases: 0, ratings: 0, searches: 0, searches_without_hits: 0 };
    const days = await eventually(async () => {
      const now = await ask();
      return now.data[1]?.['views'] === 3 && now.data[1]['searches'] === 1 && now;
    });
    expect(days).toMatchObject({
      from: '2026-03-03T00:00:00.000Z', to: '2026-03-06T00:00:00.000Z',
      data: [
        { at: '2026-03-03T00:00:00.000Z', ...none, users: 0 },
        // Nobody counted users of a day that is long over: a recount does.
        { at: '2026-03-04T00:00:00.000Z', ...none, views: 3, searches: 1, searches_without_hits: 1, users: null },
        { at: '2026-03-05T00:00:00.000Z', ...none, users: 0 },
      ],
    });
    for (let n = 0; n < 31; n += 1) await log('view', 'today');
    await eventually(async () => Number(series.parse((await get('/api/analytics/timeseries')).body).data.at(-1)?.['users']) > 30);
    expect(series.parse((await get('/api/analytics/timeseries?granularity=minute')).body).data).toHaveLength(60);
    await door.startWriter();
    await eventually(async () => (await plane.pool.query('select from events.interaction_logs where asin = \'s\'')).rowCount === 3);
    const recounted = await eventually(async () => {
      const answer = await get('/api/admin/analytics/recount', { method: 'POST', body: { from: '2026-03-04', to: '2026-03-05' } });
      return answer.status === 200 ? answer.body : undefined;
    });
    expect(recounted).toEqual({ from: '2026-03-04T00:00:00.000Z', to: '2026-03-05T00:00:00.000Z', added: 0, removed: 0 });
    await eventually(async () => {
      expect((await ask()).data[1]).toMatchObject({ views: 3, searches: 1, users: 3 });
      return true;
    });
    await close();
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ['summary?granularity=week', '/granularity', 'must be minute or hour or day'],
    ['summary?from=2026-03-05&to=2026-03-04', '/from', 'must be before to'],
    ['summary?from=yesterday', '/from', 'must be a time such as 2026-11-02T08:00:00Z, or a day such as 2026-11-02'],
    ['summary?from=1990-01-01', '/from', 'must be after 1999'],
    ['summary?from=2999-01-01&to=2999-01-02', '/from', 'must not be in the future'],
    ['timeseries?granularity=hour&from=2020-01-01', '/from', 'use day'],
    ['timeseries?granularity=minute&to=2020-01-01', '/to', 'use hour or day'],
    ['products/top?granularity=minute', '/granularity', 'must be hour or day'],
    ['products/top?from=2020-01-01', '/granularity', 'at most 92'],
    ['products/top?by=revenue', '/by', 'must be views or clicks or carts or purchases'],
    ['products/top?limit=0', '/limit', 'must be at least 1'],
    ['summary?grain=day', '/grain', 'is not known here as a parameter'],
  ];
  it('refuse bad input with a pointer and a sentence, and a key without the scope', async () => {
    const { get, close } = await startAnalytics();
    for (const [path, pointer, detail] of refused) {
      const { status, body } = await get(`/api/analytics/${path}`);
      expect({ path, status, code: body['code'], pointer: body['pointer'], detail: body['detail'] }).toMatchObject({ path, status: 400, code: 'invalid_request', pointer, detail: expect.stringContaining(detail) });
    }
    expect((await get('/api/analytics/summary', { scopes: 'events:read' })).status).toBe(403);
    await close();
  });

  it('answer what is rolled up while Redis is away', async () => {
    const { get, close } = await startAnalytics();
    for (let n = 0; n < 3; n += 1) await log('view', 'kept', { timestamp: '2026-05-04T05:06:07Z' });
    await eventually(async () => (await plane.pool.query('select from events.analytics_counts where granularity = \'day\' and bucket = \'2026-05-04\' and kind = \'view\' and count = 3')).rowCount === 1);
    await plane.redis.kill();
    const answer = total.parse((await get('/api/analytics/summary?from=2026-05-03&to=2026-05-06')).body);
    expect(answer).toMatchObject({ totals: { views: 3 }, degraded: true });
    expect((await get('/api/admin/analytics/recount', { method: 'POST', body: { from: '2026-05-04', to: '2026-05-05' } })).status).toBe(503);
    await plane.redis.restart();
    await eventually(async () => !total.parse((await get('/api/analytics/summary')).body).degraded);
    await close();
  });
});
