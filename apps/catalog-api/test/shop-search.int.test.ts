import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { searches } from '@millrace/contracts';
import type { SearchEvent } from '@millrace/contracts';
import { eventually } from '@millrace/testing';
import { VectorsUnavailableError } from '@millrace/vectors';
import { sql } from 'kysely';
import { startShop } from './shop-app.ts';
import type { Shop, ShopInstance } from './shop-app.ts';

let shop: Shop;
let instance: ShopInstance;
beforeAll(async () => {
  shop = await startShop({ redisDb: 4, products: [
    { sku: 'sofa', name: 'Grey sofa', category: 'Seats', brand: 'Lumo', price: '900', currency: 'USD', stock: 3 },
    { sku: 'couch-bed', name: 'Couch bed', category: 'Seats', brand: 'Other', price: '500', currency: 'USD', stock: 0 },
    { sku: 'lamp-1', name: 'Bamboo desk lamp', category: 'Lamps', brand: 'Lumo', price: '20', currency: 'USD', stock: 5 },
    { sku: 'lamp-2', name: 'Bamboo floor lamp', category: 'Lamps', brand: 'Other', price: '40', currency: 'USD', stock: 5 },
    { sku: 'lamp-3', name: 'Paper lamp', category: 'Lamps', brand: 'Other', price: '10', currency: 'USD', stock: 0 },
    { sku: 'desk', name: 'Bamboo desk', category: 'Desks', brand: 'Lumo', price: '200', currency: 'USD', stock: 1 },
  ] });
  instance = await shop.startInstance();
});
afterAll(() => shop.close());
afterEach(async () => {
  await sql`delete from catalog.rules`.execute(shop.db);
  await sql`delete from catalog.synonyms`.execute(shop.db);
  await instance.relevance.refresh();
});

interface Hit { sku: string; explanation?: string[] }
const search = async (query: string, on = instance) => {
  const { status, body } = await on.call('GET', `/api/search?${query}`);
  expect(status).toBe(200);
  const data = body['data'] as Hit[];
  return { ...body, data, skus: data.map(({ sku }) => sku), next: (body['page'] as { next: string | null }).next };
};
const add = async (path: 'rules' | 'synonyms', body: object): Promise<string> => String((await instance.call('POST', `/api/admin/${path}`, { body })).body['id']);

describe('synonyms', () => {
  it('are found at once when they are created, both ways or one way, and no longer when they are deleted', async () => {
    expect((await search('q=couches')).skus).toEqual(['couch-bed']);
    const id = await add('synonyms', { kind: 'equivalent', terms: ['sofa', 'couch'] });
    expect((await search('q=couches')).skus.toSorted()).toEqual(['couch-bed', 'sofa']);
    expect((await search('q=sofa')).skus).toContain('couch-bed');
    await instance.call('PUT', `/api/admin/synonyms/${id}`, { body: { kind: 'one_way', terms: ['couch'], means: ['sofa'] } });
    expect((await search('q=couch')).skus).toContain('sofa');
    expect((await search('q=sofa')).skus).toEqual(['sofa']);
    await instance.call('DELETE', `/api/admin/synonyms/${id}`);
    expect((await search('q=couch')).skus).toEqual(['couch-bed']);
  });
});

describe('rules', () => {
  it('pin in their order before what matches better, matching or not, also for plurals and synonyms of their words', async () => {
    await add('rules', { query: 'bamboo lamp', action: { type: 'pin', skus: ['desk', 'lamp-2'] } });
    await add('synonyms', { kind: 'one_way', terms: ['luminaire'], means: ['lamp'] });
    for (const q of ['lamps+bamboo', 'bamboo+luminaires']) expect((await search(`q=${q}`)).skus.slice(0, 2)).toEqual(['desk', 'lamp-2']);
    expect((await search('q=bamboo')).skus).not.toContain('lamp-3');
  });
  it('obey the filters, and the sort', async () => {
    await add('rules', { query: 'lamp', action: { type: 'pin', skus: ['desk', 'lamp-3'] } });
    expect((await search('q=lamp&category=Lamps&in_stock=true')).skus).not.toContain('desk');
    expect((await search('q=lamp&category=Lamps')).skus[0]).toBe('lamp-3');
    expect((await search('q=lamp&category=Lamps&sort=price_desc')).skus).toEqual(['lamp-2', 'lamp-1', 'lamp-3']);
  });
  it('hide from hits, total and facets, whatever the sort', async () => {
    await add('rules', { category: 'Lamps', action: { type: 'hide', select: { brand: 'Other' } } });
    for (const sort of ['relevance', 'newest']) expect(await search(`category=Lamps&sort=${sort}`)).toMatchObject({ skus: ['lamp-1'], total: 1, facets: { brand: [{ value: 'Lumo', count: 1 }] } });
  });
  it('boost and bury', async () => {
    await add('rules', { query: 'lamp', action: { type: 'boost', select: { skus: ['lamp-2'] } } });
    await add('rules', { query: 'lamp', action: { type: 'bury', select: { skus: ['lamp-3'] } } });
    const { skus } = await search('q=lamp');
    expect([skus[0], skus.at(-1)]).toEqual(['lamp-2', 'lamp-3']);
  });
  it('are not in force outside their period', async () => {
    await add('rules', { query: 'lamp', until: '2026-01-01T00:00:00Z', action: { type: 'hide', select: { category: 'Lamps' } } });
    expect(await search('q=lamp')).toMatchObject({ total: 3 });
  });
});

describe('an answer', () => {
  it('says what it read instead of an unknown word', async () => {
    expect(await search('q=bambo+lamp')).toMatchObject({ did_you_mean: 'bamboo lamp' });
    expect(await search('q=bamboo+lamp')).toMatchObject({ did_you_mean: null, hybrid: false });
  });
  it('explains each hit in plain words where it is asked to', async () => {
    const id = await add('rules', { query: 'lamp', action: { type: 'pin', skus: ['lamp-3'] } });
    const { data } = await search('q=lamp&explain=true');
    expect(data[0]).toMatchObject({ sku: 'lamp-3', explanation: expect.arrayContaining([`pinned by rule ${id}`]) });
    for (const hit of data) expect(hit.explanation?.length).toBeGreaterThan(0);
    expect((await search('q=lamp')).data[0]).not.toHaveProperty('explanation');
  });
  it.each(['explain=perhaps', 'hybrid=perhaps', 'explain='])('is refused for %s', async (query) => {
    expect(await instance.call('GET', `/api/search?q=x&${query}`)).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: `/${query.split('=')[0]}` } });
  });
});

describe('hybrid search', () => {
  it('is there where it is asked for, in stable pages', async () => {
    const all = await search('q=bamboo+lamp&hybrid=true');
    expect(all).toMatchObject({ hybrid: true, did_you_mean: null, total: all.skus.length });
    expect(await search('q=bamboo+lamp')).toMatchObject({ hybrid: false });
    const pages: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await search(`q=bamboo+lamp&hybrid=true&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      pages.push(...page.skus);
      cursor = page.next;
    }
    expect(pages).toEqual(all.skus);
  });
  it('obeys rules and filters', async () => {
    await add('rules', { query: 'bamboo lamp', action: { type: 'hide', select: { skus: ['lamp-1'] } } });
    await add('rules', { query: 'bamboo lamp', action: { type: 'pin', skus: ['lamp-3'] } });
    const { skus } = await search('q=bamboo+lamp&hybrid=true');
    expect([skus[0], skus.includes('lamp-1')]).toEqual(['lamp-3', false]);
    expect((await search('q=bamboo+lamp&hybrid=true&max_price=30')).skus).toEqual(['lamp-3']);
  });
  it('is the answer of the words, and says so, while the vector store is down', async () => {
    const down = async (): Promise<never> => Promise.reject(new VectorsUnavailableError('down'));
    const broken = await shop.startInstance({ vectors: { model: down, nearest: down } });
    expect(await search('q=bamboo+lamp&hybrid=true', broken)).toMatchObject({ hybrid: false, degraded: true, skus: (await search('q=bamboo+lamp')).skus });
  });
  it('is only for words by relevance: else it is the plain search', async () => {
    for (const query of ['hybrid=true', 'q=lamp&sort=newest&hybrid=true']) expect(await search(query)).toMatchObject({ hybrid: false });
  });
  it('refuses a cursor of the plain search, and the plain search one of it', async () => {
    const plain = await search('q=bamboo&limit=1');
    const fused = await search('q=bamboo&limit=1&hybrid=true');
    for (const query of [`hybrid=true&cursor=${String(plain.next)}`, `cursor=${String(fused.next)}`]) expect(await instance.call('GET', `/api/search?q=bamboo&limit=1&${query}`)).toMatchObject({ status: 400, body: { pointer: '/cursor' } });
  });
});

it('logs a search once, not its later pages', async () => {
  const seen: SearchEvent[] = [];
  await instance.bus.subscribe(searches, { group: 'pages' }, async (events) => void seen.push(...events.filter(({ query }) => query.startsWith('paper') || query === 'bamboo desk')));
  const { next } = await search('q=bamboo+desk&limit=1');
  await search(`q=bamboo+desk&limit=1&cursor=${String(next)}`);
  await search('q=paper');
  await eventually(() => seen.some(({ query }) => query === 'paper'));
  expect(seen.map(({ query }) => query)).toEqual(['bamboo desk', 'paper']);
});
