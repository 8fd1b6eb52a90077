import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { searches } from '@millrace/contracts';
import type { SearchEvent } from '@millrace/contracts';
import { eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { SEARCH_COUNTS_GROUP, countSearches } from '../src/count-searches.ts';
import { purgeSearchCounts } from '../src/search-count.repository.ts';
import { startShop } from './shop-app.ts';
import type { Shop, ShopInstance } from './shop-app.ts';

let shop: Shop;
let instance: ShopInstance;
beforeAll(async () => {
  shop = await startShop({ redisDb: 2, products: [{ sku: 'lamp-1', name: 'Bamboo lamp' }] });
  instance = await shop.startInstance();
});
afterAll(() => shop.close());
afterEach(async () => void (await sql`truncate catalog.search_counts, catalog.handled_events`.execute(shop.db)));

let ids = 0;
const today = new Date().toISOString();
const event = (query: string, over: Partial<Omit<SearchEvent, 'meta'>> & { at?: string; id?: string } = {}): SearchEvent => {
  const { at = today, id = `event-${(ids += 1)}`, ...rest } = over;
  return { type: 'executed', query, filters: { currency: 'USD', sort: 'relevance' }, hits: 1, ms: 1, user: null, degraded: false, ...rest, meta: { id, timestamp: at, schema: 1 } };
};
const daysAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString();
const popular = async (query = ''): Promise<Record<string, unknown>> => (await instance.call('GET', `/api/admin/searches/popular${query}`)).body;
const counted = async (): Promise<unknown[]> => (await sql`select query, searches, no_hits from catalog.search_counts order by query`.execute(shop.db)).rows;

describe('counting searches', () => {
  it('counts by query whatever its case and spaces, and apart what found nothing', async () => {
    await countSearches(shop.db)([event('Lamp'), event('lamp ', { hits: 0 }), event('LAMP'), event('đèn'), event('den')]);
    expect(await counted()).toEqual([{ query: 'den', searches: 1, no_hits: 0 }, { query: 'lamp', searches: 3, no_hits: 1 }, { query: 'đèn', searches: 1, no_hits: 0 }]);
  });
  it('counts the searches that a cache answered, as many as its event stands for', async () => {
    await countSearches(shop.db)([event('lamp'), event('Lamp', { times: 40 }), event('sofa', { times: 3, hits: 0 })]);
    expect(await counted()).toEqual([{ query: 'lamp', searches: 41, no_hits: 0 }, { query: 'sofa', searches: 3, no_hits: 3 }]);
  });
  it('counts an event once, delivered twice, in one batch, after another one, and by two instances at once', async () => {
    const first = event('lamp');
    const second = event('desk');
    await countSearches(shop.db)([first, first, second]);
    await countSearches(shop.db)([second, first]);
    await Promise.all([countSearches(shop.db)([first, second, event('chair')]), countSearches(shop.db)([second, first, event('chair')])]);
    expect(await counted()).toMatchObject([{ query: 'chair', searches: 2 }, { query: 'desk', searches: 1 }, { query: 'lamp', searches: 1 }]);
  });
  it('counts nothing when it fails, so that the batch can come again', async () => {
    const good = event('lamp');
    await expect(countSearches(shop.db)([good, event('desk', { at: 'no time' })])).rejects.toThrow();
    expect(await counted()).toEqual([]);
    await countSearches(shop.db)([good]);
    expect(await counted()).toHaveLength(1);
  });
  it('leaves out searches without words and those that no index answered', async () => {
    await countSearches(shop.db)([event('  '), event('lamp', { degraded: true, hits: 0 })]);
    expect(await counted()).toEqual([]);
  });
  it('counts queries together that are new on a day with too many different ones', async () => {
    const count = countSearches(shop.db, { distinctADay: 2 });
    await count([event('a'), event('b'), event('c'), event('d', { hits: 0 })]);
    await count([event('a'), event('e'), event('e')]);
    expect(await counted()).toEqual([{ query: '', searches: 4, no_hits: 1 }, { query: 'a', searches: 2, no_hits: 0 }, { query: 'b', searches: 1, no_hits: 0 }]);
    expect(await popular()).toMatchObject({ other_searches: 4, data: [{ query: 'a' }, { query: 'b' }] });
  });
});

describe('the counts', () => {
  it('tell of the days that were asked for, the commonest first', async () => {
    await countSearches(shop.db)([event('old', { at: daysAgo(10) }), event('old', { at: daysAgo(10) }), event('lamp'), event('lamp', { at: daysAgo(3) }), event('a', { hits: 0 })]);
    expect(await popular('?days=7')).toMatchObject({ days: 7, other_searches: 0, data: [{ query: 'lamp', searches: 2, no_hits: 0 }, { query: 'a', searches: 1, no_hits: 1 }] });
    expect(await popular('?days=30&limit=1')).toMatchObject({ data: [{ query: 'lamp', searches: 2, last_at: expect.stringMatching(/Z$/) }] });
    expect(await popular('?days=1')).toMatchObject({ data: [{ query: 'a' }, { query: 'lamp', searches: 1 }] });
  });
  it('tell what was not found, most often first', async () => {
    await countSearches(shop.db)([event('sofa', { hits: 0 }), event('sofa', { hits: 0 }), event('lamp'), event('sofa'), event('desk', { hits: 0 })]);
    const { body } = await instance.call('GET', '/api/admin/searches/no-hits');
    expect(body['data']).toMatchObject([{ query: 'sofa', searches: 3, no_hits: 2 }, { query: 'desk', searches: 1, no_hits: 1 }]);
  });
  it('are forgotten after 90 days', async () => {
    await countSearches(shop.db)([event('kept', { at: daysAgo(89) }), event('gone', { at: daysAgo(90) })]);
    await purgeSearchCounts(shop.db);
    expect(await counted()).toMatchObject([{ query: 'kept' }]);
  });
  it.each(['days=0', 'days=91', 'limit=0', 'limit=1001', 'since=2026-01-01'])('refuse ?%s', async (query) => {
    for (const path of ['popular', 'no-hits']) expect(await instance.call('GET', `/api/admin/searches/${path}?${query}`)).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: `/${query.split('=')[0]}` } });
  });
});

describe('a search', () => {
  it('is logged behind its answer, its first page only, with a pseudonym, and counted', async () => {
    const seen: SearchEvent[] = [];
    await instance.bus.subscribe(searches, { group: 'test' }, async (events) => void seen.push(...events));
    const counting = await instance.bus.subscribe(searches, { group: SEARCH_COUNTS_GROUP }, countSearches(shop.db));
    const answer = await instance.call('GET', '/api/search?q=Bamboo%20lamp&category=Lamps&min_price=1.50&in_stock=true', { headers: { 'x-user-id': 'customer-81' } });
    expect(answer).toMatchObject({ status: 200, body: { total: 0, degraded: false } });
    await instance.call('GET', '/api/search?q=bamboo');
    await eventually(() => seen.length === 2);
    expect(seen[0]).toMatchObject({ query: 'Bamboo lamp', filters: { category: 'Lamps', min_price: '1.50', in_stock: true, currency: 'USD', sort: 'relevance' }, hits: 0, ms: answer.body['took_ms'], user: expect.stringMatching(/^u_/), degraded: false });
    expect(seen[1]).toMatchObject({ query: 'bamboo', hits: 1, user: null });
    await eventually(async () => (await counted()).length === 2);
    expect((await instance.call('GET', '/api/admin/searches/no-hits')).body['data']).toMatchObject([{ query: 'bamboo lamp' }]);
    await counting.close();
  });
  it.each([
    ['an empty user', { 'x-user-id': '' }],
    ['too long a user', { 'x-user-id': 'x'.repeat(201) }],
  ])('is refused for %s', async (_why, headers) => {
    expect(await instance.call('GET', '/api/search?q=x', { headers })).toMatchObject({ status: 400, body: { errors: [{ in: 'headers', pointer: '/x-user-id' }] } });
  });
});
