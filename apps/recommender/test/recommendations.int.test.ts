import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createContextWriter, readContext } from '@millrace/context';
import type { NewInteraction } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHttpApp, setIdentity, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { createTestDatabase, testServer, uniqueName } from '@millrace/testing';
import { sql } from 'kysely';
import { Registry } from 'prom-client';
import { countInteractions } from '../src/count-interactions.ts';
import type { RecsSchema } from '../src/database.ts';
import { createErasedUsers } from '../src/erase-users.ts';
import { createItems } from '../src/items.ts';
import { migrations } from '../src/migrations/index.ts';
import { createCountedPartitions } from '../src/counted-partitions.ts';
import { createRankingLog, purgeRankings, recordImpressions } from '../src/ranking-log.ts';
import { createCountReader } from '../src/read-counts.ts';
import { recommendationRoutes } from '../src/recommendation.routes.ts';
import { createFindSimilar } from '../src/similar-items.ts';
import { did, product } from './kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 2 });
const db = createKysely<RecsSchema>(pool);
await migrateSchema(createKysely<unknown>(pool), migrations);
const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
const prefix = uniqueName('recs');
const plain = createKeys();
const keys = {
  ...plain, counts: (partition: number) => `${prefix}:{${partition}}`, countPartitions: `${prefix}:partitions`,
  topic: (topic: string, partition?: number, partitions?: number) => plain.topic(`${prefix}:${topic}`, partition, partitions), topicMeta: (topic: string) => plain.topicMeta(`${prefix}:${topic}`),
  user: (id: string) => plain.user(`${prefix}:${id}`),
};
const logger = createLogger('test', 'silent');
const items = createItems();
items.apply([
  ...['a', 'b', 'c'].map((sku) => product(sku, { category: 'Audio', brand: `Brand ${sku}` })), ...['d', 'e'].map((sku) => product(sku, { category: 'Video', brand: `Brand ${sku}` })),
  product('draft', { status: 'draft' }), product('gone', { stock: 0 }),
].map((change) => (change.product?.status === 'draft' ? { sku: change.sku, version: 1 } : change)));
const partitions = createCountedPartitions(redis, keys);
const count = countInteractions({ redis, keys, ttlSeconds: 3_600, addPartition: (partition) => partitions.add(partition) });
const counts = createCountReader({ redis, live: () => partitions.live() });
const log = createRankingLog({ logger, metrics: new Registry(), erased: createErasedUsers({ db, locking: db, secret: undefined }) });
const writer = createContextWriter({ redis, keys, ttlSeconds: 900 });

let server: HttpServer | undefined;
let broken: HttpServer | undefined;

async function serve(overrides: Partial<Parameters<typeof recommendationRoutes>[0]> = {}): Promise<HttpServer> {
  const routes = recommendationRoutes({
    readContext: (userId) => readContext(redis, keys, userId), counts, items, log, now: Date.now, onFailure: () => undefined,
    similarTo: createFindSimilar({ vectors: { get: async () => undefined, nearest: async () => [] }, timeoutMs: 20, onFailure: () => undefined }),
    recordImpressions: (rankingId, seen) => recordImpressions(db, rankingId, seen), ...overrides,
  });
  const app = createHttpApp({ logger, metrics: new Registry(), handlers: [(req, _res, next) => {
    setIdentity(req, { issuer: 'gateway', subject: 'test', scopes: ['search:read', 'events:write'] });
    next();
  }, routes] });
  return await startHttpServer(app, { host: '127.0.0.1', port: 0 });
}

beforeAll(async () => {
  server = await serve();
  const away = async (): Promise<never> => { throw new Error('redis is away'); };
  broken = await serve({ readContext: away, counts: { history: away, forUser: away, ofItems: away, aboutItem: away }, similarTo: async () => undefined });
  await count([
    ...['x', 'y', 'z'].flatMap((user) => [did(user, 'purchase', 'a', { category: 'Audio' }), did(user, 'purchase', 'b', { category: 'Audio' }), did(user, 'purchase', 'draft')]),
    did('w', 'view', 'd', { category: 'Video' }),
  ], { signal: new AbortController().signal, partition: 0 });
});
afterAll(async () => {
  await server?.close();
  await broken?.close();
  await log.close();
  await closeRedis(redis);
  await pool.end();
  await database.drop();
});

interface Answer { readonly status: number; readonly body: { ranking_id: string; data: { sku: string; stage: string; explain?: unknown }[]; context: string; degraded: boolean; code?: string; errors?: { pointer: string; detail: string }[] } }

async function ask(path: string, body?: unknown, at = server): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${at?.port}${path}`, body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}
const skus = ({ body }: Answer): string[] => body.data.map(({ sku }) => sku);
const happened = (userId: string, type: NewInteraction['type'], asin: string, category: string | null): Promise<unknown> =>
  writer.write([{ type, user_id: userId, asin, month: new Date().toISOString().slice(0, 7), category, brand: null, metadata: {}, meta: { id: uniqueName('event'), timestamp: new Date().toISOString() } }]);

describe('GET /api/recommendations', () => {
  it('answers a stranger with what trends, and says so', async () => {
    const { status, body } = await ask('/api/recommendations?limit=3');
    expect([status, body.context, body.degraded]).toEqual([200, 'none', false]);
    expect(body.data.map(({ stage }) => stage)).toEqual(['trending', 'trending', 'trending']);
  });
  it('knows in the next list what was acknowledged as live', async () => {
    expect((await ask('/api/recommendations?user_id=fresh&limit=5')).body.context).toBe('none');
    await happened('fresh', 'view', 'e', 'Video');
    const after = await ask('/api/recommendations?user_id=fresh&limit=5&explain=true');
    expect(after.body.context).toBe('live');
    expect(after.body.data[0]).toMatchObject({ sku: 'd', stage: 'trending_in_category' });
    await happened('fresh', 'purchase', 'd', 'Video');
    expect(skus(await ask('/api/recommendations?user_id=fresh&limit=5'))).not.toContain('d');
  });
  it('shows neither hidden nor sold out nor excluded products, at any stage', async () => {
    for (const query of ['', 'user_id=x', 'user_id=x&exclude_seen=true', 'category=Audio']) {
      const shown = skus(await ask(`/api/recommendations?limit=100&exclude=b,c&${query}`));
      expect(shown.filter((sku) => ['draft', 'gone', 'b', 'c'].includes(sku))).toEqual([]);
    }
  });
  it('explains each score where it is asked to', async () => {
    const { body } = await ask('/api/recommendations?user_id=w&explain=true');
    expect(body.data[0]?.explain).toMatchObject({ factors: { category: 1, seen: 1, price: 1 } });
    expect((await ask('/api/recommendations?user_id=w')).body.data[0]).not.toHaveProperty('explain');
  });
  it('answers with the newest products where Redis is away, and says that it knows nothing of the user', async () => {
    const answer = await ask('/api/recommendations?user_id=x&limit=3', undefined, broken);
    expect([answer.status, answer.body.context, answer.body.degraded, answer.body.data.length]).toEqual([200, 'unavailable', true, 3]);
  });
  it.each([
    ['limit=0', '/limit'], ['limit=101', '/limit'], ['limit=x', '/limit'], [`user_id=${'u'.repeat(201)}`, '/user_id'], ['explain=perhaps', '/explain'], ['exclude=a/b', '/exclude'], ['usr=1', '/usr'], ['category=', '/category'],
  ])('refuses %s with a pointer', async (query, pointer) => {
    const { status, body } = await ask(`/api/recommendations?${query}`);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.errors?.[0]?.pointer).toContain(pointer);
  });
});

describe('POST /api/rerank', () => {
  it('puts what was just seen behind, and names what it left out', async () => {
    await happened('seer', 'view', 'a', 'Audio');
    const answer = await ask('/api/rerank', { user_id: 'seer', items: [{ sku: 'a', score: 1 }, { sku: 'd', score: 0.9 }, { sku: 'draft', score: 5 }] });
    expect(skus(answer)).toEqual(['d', 'a']);
    expect(answer.body).toMatchObject({ left_out: ['draft'], context: 'live' });
  });
  it('keeps the given order where Redis is away', async () => {
    expect(skus(await ask('/api/rerank', { user_id: 'u', items: [{ sku: 'd', score: 2 }, { sku: 'a', score: 1 }] }, broken))).toEqual(['d', 'a']);
  });
  it.each([
    [{ user_id: 'u', items: [] }, '/items'], [{ items: [{ sku: 'a', score: 1 }] }, '/user_id'], [{ user_id: 'u', items: [{ sku: 'a', score: 'high' }] }, '/items/0/score'], [{ user_id: 'u', items: [{ sku: 'a', score: 1 }], limit: 0 }, '/limit'],
  ])('refuses %j with a pointer', async (body, pointer) => {
    const answer = await ask('/api/rerank', body);
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([400, pointer]);
  });
});

describe('GET /api/products/{sku}/also-bought', () => {
  it('lists what is bought together, and 404 for a product that does not exist', async () => {
    const answer = await ask('/api/products/a/also-bought?limit=2');
    expect(answer.body.data[0]).toMatchObject({ sku: 'b', stage: 'co_buy', together: 3 });
    expect((await ask('/api/products/nowhere/also-bought')).status).toBe(404);
    expect((await ask('/api/products/draft/also-bought')).status).toBe(404);
  });
});

describe('served lists and impressions', () => {
  it('are in Postgres under the ranking_id of the answer', async () => {
    const { body } = await ask('/api/recommendations?user_id=x&limit=2');
    await log.flush();
    const row = await db.selectFrom('recs.rankings').selectAll().where('ranking_id', '=', body.ranking_id).executeTakeFirstOrThrow();
    expect(row).toMatchObject({ user_id: 'x', kind: 'recommendations', skus: body.data.map(({ sku }) => sku), stages: body.data.map(({ stage }) => stage) });
  });
  it('count the same product of the same list once, however often it is sent', async () => {
    const { body: { ranking_id: rankingId } } = await ask('/api/recommendations?limit=2');
    const seen = { ranking_id: rankingId, items: [{ sku: 'a', position: 0 }, { sku: 'b', position: 1 }, { sku: 'a', position: 0 }] };
    expect((await ask('/api/impressions', seen)).body).toEqual({ new: 2 });
    expect((await ask('/api/impressions', seen)).body).toEqual({ new: 0 });
  });
  it.each([[{ ranking_id: 'x', items: [{ sku: 'a', position: 0 }] }, '/ranking_id'], [{ ranking_id: '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10', items: [{ sku: 'a', position: -1 }] }, '/items/0/position']])('refuse %j with a pointer', async (body, pointer) => {
    const answer = await ask('/api/impressions', body);
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([400, pointer]);
  });
  it('go after their time, and newer ones stay', async () => {
    const { body: { ranking_id: rankingId } } = await ask('/api/recommendations?user_id=old');
    await ask('/api/impressions', { ranking_id: rankingId, items: [{ sku: 'a', position: 0 }] });
    await log.flush();
    await sql`update recs.rankings set served_at = now() - interval '31 days' where user_id = 'old'`.execute(db);
    await sql`update recs.impressions set seen_at = now() - interval '31 days' where ranking_id = ${rankingId}`.execute(db);
    expect(await purgeRankings(db, 30)).toBe(2);
    expect(await purgeRankings(db, 30)).toBe(0);
  });
});
