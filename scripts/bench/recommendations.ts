// npm run bench -- recommendations: lists of recommender at 20,000 products and 100,000 users with full context and counts, and what these cost in Redis.
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { readContext } from '@millrace/context';
import { productExample } from '@millrace/contracts';
import { createHttpApp, setIdentity, startHttpServer } from '@millrace/http';
import { encodeHistory } from '@millrace/ranking';
import { closeRedis, connectRedis, createKeys, infoField } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { Registry } from 'prom-client';
import { FIRST_GENERATION, partitionKeys } from '../../apps/recommender/src/count-keys.ts';
import { createItems } from '../../apps/recommender/src/items.ts';
import { createCountReader } from '../../apps/recommender/src/read-counts.ts';
import { recommendationRoutes } from '../../apps/recommender/src/recommendation.routes.ts';
import { createRandom } from '../eval/metrics.ts';
import { median, msOf, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';

const ITEMS = 20_000;
const USERS = 100_000;
const CATEGORIES = 200;
const REQUESTS = 1_500;
const WARM_UP = 300;
const keys = createKeys();
const of = partitionKeys(keys, 0).of(FIRST_GENERATION);
const random = createRandom(5);
const int = (below: number): number => Math.floor(random() * below);
/** A few products are in most baskets. */
const anItem = (): number => Math.floor(ITEMS * random() ** 2);
const skuOf = (item: number): string => `MR-${String(item).padStart(6, '0')}`;
const categoryOf = (item: number): string => `Category ${item % CATEGORIES}`;
const several = (count: number): number[] => [...new Set(Array.from({ length: count * 2 }, anItem))].slice(0, count);

type Command = readonly [string, ...(string | number)[]];

async function send(redis: Redis, commands: Iterable<Command>): Promise<void> {
  let pipeline = redis.pipeline();
  const flush = async (): Promise<void> => {
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
    pipeline = redis.pipeline();
  };
  for (const [name, ...args] of commands) {
    pipeline.call(name, ...args.map(String));
    if (pipeline.length >= 2_000) await flush();
  }
  await flush();
}

function* itemCounts(): Generator<Command> {
  for (let item = 0; item < ITEMS; item += 1) {
    const sku = skuOf(item);
    for (const list of ['co_buy', 'co_view'] as const) yield ['ZADD', of.neighbours(list, sku), ...several(100).flatMap((other) => [1 + int(50), skuOf(other)])];
    for (const counter of ['baskets', 'buyers', 'rebuyers', 'views'] as const) yield ['HSET', of.counter(counter), sku, 1 + int(counter === 'rebuyers' ? 20 : 200)];
    for (const board of ['trending', 'popular'] as const) {
      yield ['ZADD', of.board(board, null), random() * 1_000, sku];
      yield ['ZADD', of.board(board, categoryOf(item)), random() * 1_000, sku];
    }
  }
}

/** 5 to 60 bought products. */
function* histories(): Generator<Command> {
  for (let user = 0; user < USERS; user += 1) {
    const bought = several(5 + int(55)).map((item, at) => ({ sku: skuOf(item), weight: 1 + (at % 3), basket: 1 + (at % 8), baskets: 1 + (at % 3), atMs: Date.now() - at * 86_400_000 }));
    const viewed = several(5).map((item) => ({ sku: skuOf(item), atMs: Date.now() }));
    yield ['SET', of.user(`user-${user}`), encodeHistory({ basket: 8, boughtAtMs: Date.now(), bought, viewed })];
  }
}

/** As libs/context writes it: 20 products, 10 categories, 5 purchases. */
function* contexts(): Generator<Command> {
  const now = Date.now();
  for (let user = 0; user < USERS; user += 1) {
    const own = keys.user(`user-${user}`);
    const items = several(20);
    yield ['ZADD', own.recentItems, ...items.flatMap((item, at) => [now - at * 1_000, skuOf(item)])];
    yield ['ZADD', own.recentPurchases, ...items.slice(0, 5).flatMap((item, at) => [now - at * 1_000, skuOf(item)])];
    yield ['HSET', own.recentCategories, ...[...new Set(items.slice(0, 10).map(categoryOf))].flatMap((category, at) => [category, 1 + at])];
    yield ['SET', own.lastActive, now];
    for (const key of [own.recentItems, own.recentPurchases, own.recentCategories, own.lastActive]) yield ['PEXPIRE', key, 3_600_000];
  }
}

const usedBytes = async (redis: Redis): Promise<number> => Number(await infoField(redis, 'used_memory') ?? 0);

function catalogue(): ReturnType<typeof createItems> {
  const items = createItems();
  items.apply(Array.from({ length: ITEMS }, (_none, item) => ({
    sku: skuOf(item), version: 1,
    product: { ...productExample, sku: skuOf(item), status: 'active' as const, category: categoryOf(item), brand: `Brand ${item % 300}`, price_minor: 500 + int(50_000), created_at: new Date(Date.now() - item * 60_000).toISOString() },
  })));
  return items;
}

async function serve(redis: Redis): Promise<{ readonly port: number; close(): Promise<void> }> {
  const routes = recommendationRoutes({
    readContext: (userId) => readContext(redis, keys, userId), counts: createCountReader({ redis, live: async () => [of] }), items: catalogue(), now: Date.now,
    similarTo: async () => new Map(several(50).map((item, at) => [skuOf(item), 1 / (at + 1)])),
    log: { add: () => undefined }, recordImpressions: async () => 0, onFailure: (error) => { throw error; },
  });
  const asGateway = (req: Parameters<typeof setIdentity>[0], _res: unknown, next: () => void): void => {
    setIdentity(req, { issuer: 'gateway', subject: 'bench', scopes: ['search:read'] });
    next();
  };
  return await startHttpServer(createHttpApp({ logger: createLogger('bench', 'silent'), metrics: new Registry(), handlers: [asGateway, routes] }), { host: '127.0.0.1', port: 0 });
}

const agent = new Agent({ keepAlive: true });

async function get(port: number, path: string): Promise<void> {
  const asked = request({ host: '127.0.0.1', port, path, agent }).end();
  const [answer]: Parameters<(answer: import('node:http').IncomingMessage) => void> = await once(asked, 'response').then(([first]) => [first]);
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
  if (answer.statusCode !== 200 || !text.includes('"context":"live"')) throw new Error(`answered ${answer.statusCode}: ${text.slice(0, 200)}`);
}

async function measure(redis: Redis, port: number): Promise<BenchRow[]> {
  const [lists, trips]: [number[], number[]] = [[], []];
  for (let at = -WARM_UP; at < REQUESTS; at += 1) {
    const trip = await msOf(() => redis.ping());
    const list = await msOf(() => get(port, `/api/recommendations?limit=20&user_id=user-${int(USERS)}`));
    if (at < 0) continue;
    lists.push(list);
    trips.push(trip);
  }
  const what = `recommendation of 20, ${ITEMS.toLocaleString('en')} products, ${USERS.toLocaleString('en')} users`;
  return [
    row(`${what}: p50`, median(lists), { unit: 'ms', atMost: 10, baseline: median(trips), ratio: median(lists) / median(trips) }),
    row(`${what}: p99`, percentile(lists, 0.99), { unit: 'ms', atMost: 40, baseline: percentile(trips, 0.99), ratio: percentile(lists, 0.99) / percentile(trips, 0.99) }),
  ];
}

/** The baseline of a time is a PING of the same moment. */
export async function run(): Promise<BenchRow[]> {
  // Of this run alone.
  const redis = connectRedis(process.env['TEST_REDIS_URL'] ?? '', { role: 'background', name: 'bench' });
  const MB = 1_000_000;
  try {
    const empty = await usedBytes(redis);
    await send(redis, contexts());
    const withContexts = await usedBytes(redis);
    await send(redis, histories());
    const withHistories = await usedBytes(redis);
    await send(redis, itemCounts());
    const whole = await usedBytes(redis);
    const server = await serve(redis);
    const times = await measure(redis, server.port);
    agent.destroy();
    await server.close();
    return [
      ...times,
      row('context of 100,000 users (20 products, 5 purchases, 10 categories)', (withContexts - empty) / MB, { unit: 'MB', atMost: 120 }),
      row('counts of a user who bought 5 to 60 products', (withHistories - withContexts) / USERS, { unit: 'bytes' }),
      row('counts of a product with two full lists', (whole - withHistories) / ITEMS, { unit: 'bytes' }),
    ];
  } finally {
    await closeRedis(redis);
  }
}
