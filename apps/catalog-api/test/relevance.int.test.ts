import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RELEVANCE_LIMITS, indexUpdates } from '@millrace/contracts';
import { eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { readRelevance } from '../src/relevance.repository.ts';
import { startShop } from './shop-app.ts';
import type { Shop, ShopInstance } from './shop-app.ts';

let shop: Shop;
let one: ShopInstance;
beforeAll(async () => {
  shop = await startShop({ redisDb: 1, products: [] });
  one = await shop.startInstance();
});
afterAll(() => shop.close());

const rule = { query: 'lamp', action: { type: 'pin', skus: ['a'] } };
const synonym = { kind: 'equivalent', terms: ['sofa', 'couch'] };
const create = async (path: string, body: object) => (await one.call('POST', path, { body })).body;
const revision = async (): Promise<unknown> => (await one.call('GET', '/api/admin/relevance?q=x')).body['revision'];

describe.each([
  { path: '/api/admin/synonyms', first: synonym, second: { kind: 'one_way', terms: ['tv'], means: ['television', 'screen'] } },
  { path: '/api/admin/rules', first: rule, second: { category: 'Lamps', from: '2026-11-01T00:00:00.000000Z', until: '2026-11-02T00:00:00.000000Z', action: { type: 'hide', select: { brand: 'b', skus: ['x'] } } } },
])('$path', ({ path, first, second }) => {
  it('creates, reads, replaces and deletes', async () => {
    const created = await one.call('POST', path, { body: first });
    const { id, version, ...stored } = created.body;
    expect([created.status, created.headers.get('location'), created.headers.get('etag')]).toEqual([201, `${path}/${String(id)}`, `"${String(version)}.${String(version)}"`]);
    expect(stored).toEqual({ ...first, created_at: expect.any(String), updated_at: expect.any(String) });
    expect((await one.call('GET', `${path}/${String(id)}`)).body).toEqual(created.body);
    const replaced = await one.call('PUT', `${path}/${String(id)}`, { body: second });
    expect([replaced.status, replaced.body]).toMatchObject([200, { id, ...second }]);
    expect(Object.keys(replaced.body).toSorted()).toEqual([...Object.keys(second), 'id', 'version', 'created_at', 'updated_at'].toSorted());
    expect((await one.call('GET', `${path}/${String(id)}`)).body).toEqual(replaced.body);
    expect((await one.call('DELETE', `${path}/${String(id)}`)).status).toBe(204);
    for (const method of ['GET', 'DELETE'] as const) expect((await one.call(method, `${path}/${String(id)}`)).status).toBe(404);
    expect((await one.call('PUT', `${path}/${String(id)}`, { body: second })).status).toBe(404);
  });
  it('lists by id, page by page', async () => {
    const ids: unknown[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await create(path, first))['id']);
    const seen: unknown[] = [];
    for (let cursor: unknown = undefined; cursor !== null; ) {
      const { body } = await one.call('GET', `${path}?limit=2${typeof cursor === 'string' ? `&cursor=${cursor}` : ''}`);
      expect(body).toMatchObject({ page: { limit: 2 } });
      seen.push(...(body['data'] as { id: unknown }[]).map(({ id }) => id));
      cursor = (body['page'] as { next: unknown }).next;
    }
    expect(seen).toEqual(ids);
    for (const id of ids) await one.call('DELETE', `${path}/${String(id)}`);
  });
  it('refuses to replace or delete what has changed since it was read, and changes nothing', async () => {
    const { id } = await create(path, first);
    const stale = (await one.call('GET', `${path}/${String(id)}`)).headers.get('etag') ?? '';
    const current = await one.call('PUT', `${path}/${String(id)}`, { body: second, headers: { 'if-match': stale } });
    expect(current.status).toBe(200);
    const before = await revision();
    expect((await one.call('PUT', `${path}/${String(id)}`, { body: first, headers: { 'if-match': stale } })).status).toBe(412);
    const refused = await one.call('DELETE', `${path}/${String(id)}`, { headers: { 'if-match': stale } });
    expect([refused.status, refused.body['code'], refused.headers.get('etag')]).toEqual([412, 'precondition_failed', current.headers.get('etag')]);
    expect((await one.call('GET', `${path}/${String(id)}`)).body).toEqual(current.body);
    expect(await revision()).toBe(before);
    expect((await one.call('DELETE', `${path}/${String(id)}`, { headers: { 'if-match': current.headers.get('etag') ?? '' } })).status).toBe(204);
  });
  it.each([
    { why: 'no body', method: 'POST', at: '', body: undefined, status: 415, pointer: '/content-type' },
    { why: 'an empty body', method: 'POST', at: '', body: {}, status: 400, pointer: expect.any(String) },
    { why: 'an unknown parameter', method: 'GET', at: '?page=2', body: undefined, status: 400, pointer: '/page' },
    { why: 'too large a page', method: 'GET', at: '?limit=501', body: undefined, status: 400, pointer: '/limit' },
    { why: 'a cursor that is none', method: 'GET', at: '?cursor=x', body: undefined, status: 400, pointer: '/cursor' },
    { why: 'a cursor beyond every id', method: 'GET', at: `?cursor=${Buffer.from('{"i":99999999999}').toString('base64url')}`, body: undefined, status: 400, pointer: '/cursor' },
    { why: 'an id that is none', method: 'GET', at: '/abc', body: undefined, status: 400, pointer: '/id' },
  ])('answers a problem with its place for $why', async ({ method, at, body, status, pointer }) => {
    const answer = await one.call(method, path + at, { body });
    expect(answer).toMatchObject({ status, body: { status, code: expect.any(String), pointer, detail: expect.stringMatching(/\w+ \w+/) } });
  });
});

describe('bad rules', () => {
  it.each([
    { body: { ...rule, action: { type: 'explode' } }, pointer: '/action/type', detail: 'must be pin or boost or bury or hide' },
    { body: { action: rule.action }, pointer: '/query', detail: 'is required where no category is given' },
    { body: { ...rule, from: '2026-11-02T00:00:00Z', until: '2026-11-01T00:00:00Z' }, pointer: '/until', detail: 'must be after from' },
    { body: { ...rule, from: '0000-01-01T00:00:00Z' }, pointer: '/from', detail: 'must be a time from 1970 to 9999' },
    { body: { ...rule, from: '0001-01-01T00:00:00+14:00' }, pointer: '/from', detail: 'must be a time from 1970 to 9999' },
    { body: { ...rule, until: '9999-12-31T23:59:59-14:00' }, pointer: '/until', detail: 'must be a time from 1970 to 9999' },
    { body: { ...rule, query: '\u0301' }, pointer: '/query', detail: 'must hold at least one letter or digit' },
    { body: { ...rule, colour: 'red' }, pointer: '/colour', detail: 'is not known here' },
    { body: { ...rule, action: { type: 'boost', select: {} } }, pointer: '/action/select', detail: 'must name skus, a category or a brand' },
  ])('are refused with a sentence at $pointer and change nothing', async ({ body, pointer, detail }) => {
    const before = await revision();
    const answer = await one.call('POST', '/api/admin/rules', { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer, errors: [{ in: 'body', pointer, detail: expect.stringContaining(detail) }] } });
    expect(await revision()).toBe(before);
  });
});

describe('periods', () => {
  it.each(['2026-11-27T16:30:00+16:30', '2026-11-27T00:00:00.0000001Z', '2026-11-26T19:00:00-05:00'])('may be written with any offset (%s), and are told in UTC', async (from) => {
    expect(await create('/api/admin/rules', { ...rule, from })).toMatchObject({ from: '2026-11-27T00:00:00.000000Z' });
  });
});

describe('reading what is stored', () => {
  it('takes over what has not changed, and has what was changed, created and deleted', async () => {
    const ids: string[] = [];
    for (const terms of [['a', 'b'], ['c', 'd'], ['e', 'f']]) ids.push(String((await create('/api/admin/synonyms', { kind: 'equivalent', terms }))['id']));
    const before = await readRelevance(shop.db);
    await one.call('PUT', `/api/admin/synonyms/${ids[1]}`, { body: { kind: 'equivalent', terms: ['c', 'new'] } });
    await one.call('DELETE', `/api/admin/synonyms/${ids[2]}`);
    await create('/api/admin/rules', rule);
    const after = await readRelevance(shop.db, before);
    expect(after).toEqual(await readRelevance(shop.db));
    expect(after.synonyms.find(({ id }) => id === ids[0])).toBe(before.synonyms.find(({ id }) => id === ids[0]));
    expect(after.synonyms.filter(({ id }) => ids.includes(id)).map(({ terms }) => terms)).toEqual([['a', 'b'], ['c', 'new']]);
  });
  it('takes over nothing where the database has gone back', async () => {
    const stored = await readRelevance(shop.db);
    const fromTheFuture = { revision: stored.revision + 100, synonyms: stored.synonyms.map((known) => ({ ...known, terms: ['gone'] })), rules: [] };
    expect(await readRelevance(shop.db, fromTheFuture)).toEqual(stored);
    await sql`delete from catalog.rules`.execute(shop.db);
    await sql`delete from catalog.synonyms`.execute(shop.db);
    await one.relevance.refresh();
  });
});

describe('limits', () => {
  it.each([
    { path: '/api/admin/rules', most: RELEVANCE_LIMITS.rules, body: rule, fill: sql`insert into catalog.rules (query, action) select 'q' || n, '{"type":"pin","skus":["a"]}' from generate_series(1, ${RELEVANCE_LIMITS.rules}::int) n` },
    { path: '/api/admin/synonyms', most: RELEVANCE_LIMITS.synonyms, body: synonym, fill: sql`insert into catalog.synonyms (kind, terms) select 'equivalent', array['a' || n, 'b' || n] from generate_series(1, ${RELEVANCE_LIMITS.synonyms}::int) n` },
  ])('$path holds at most $most', async ({ path, most, body, fill }) => {
    await fill.execute(shop.db);
    const answer = await one.call('POST', path, { body });
    expect(answer).toMatchObject({ status: 409, body: { code: 'conflict', detail: expect.stringContaining(String(most)) } });
    await sql`delete from catalog.rules`.execute(shop.db);
    await sql`delete from catalog.synonyms`.execute(shop.db);
    await one.relevance.refresh();
  });
});

describe('a change of synonyms and rules', () => {
  const pinsOn = async (instance: ShopInstance, query: string, at = ''): Promise<unknown> => (await instance.call('GET', `/api/admin/relevance?q=${query}${at}`)).body['pins'];

  let onTheBus = 1;
  const startAnother = (): Promise<ShopInstance> => {
    onTheBus += 1;
    return shop.startInstance();
  };

  it('is in force on the answering instance when it is answered', async () => {
    const { id } = await create('/api/admin/rules', { ...rule, query: 'lamp now' });
    expect(await pinsOn(one, 'lamp')).toEqual([]);
    expect(await pinsOn(one, 'lamp+now')).toEqual([{ rule: String(id), sku: 'a' }]);
  });
  it('comes into force on every other instance without polling, and leaves it', async () => {
    const two = await startAnother();
    const { id } = await create('/api/admin/rules', { ...rule, query: 'elsewhere' });
    await eventually(async () => JSON.stringify(await pinsOn(two, 'elsewhere')) === JSON.stringify([{ rule: String(id), sku: 'a' }]));
    await one.call('DELETE', `/api/admin/rules/${String(id)}`);
    await eventually(async () => JSON.stringify(await pinsOn(two, 'elsewhere')) === '[]');
  });
  it('reaches an instance whose Redis is away by polling Postgres', async () => {
    const alone = await shop.startInstance({ redisUrl: 'redis://127.0.0.1:1', pollMs: 100 });
    await create('/api/admin/rules', { ...rule, query: 'polled' });
    await eventually(async () => JSON.stringify(await pinsOn(alone, 'polled')) !== '[]');
    const answer = await alone.call('POST', '/api/admin/rules', { body: { ...rule, query: 'written without Redis' } });
    expect(answer.status).toBe(201);
    expect(await pinsOn(alone, 'written+without+redis')).toHaveLength(1);
  });
  it('purges cached answers once for each instance, when the instance has it', async () => {
    const purges: unknown[] = [];
    await one.bus.subscribe(indexUpdates, { mode: 'broadcast' }, async (events) => void purges.push(...events));
    const two = await startAnother();
    purges.length = 0;
    await create('/api/admin/synonyms', synonym);
    const now = await revision();
    // What an instance was not told it finds by looking, after a minute here.
    await eventually(() => purges.filter((event) => (event as { revision: unknown }).revision === now).length === onTheBus, { timeoutMs: 70_000 });
    expect(purges.at(-1)).toMatchObject({ type: 'retuned', store: 'search', all: true, revision: now });
    expect(two.relevance.revision()).toBe(now);
  });
  it('acts in its period only, which a preview can look ahead to', async () => {
    const year = new Date().getUTCFullYear() + 1;
    await create('/api/admin/rules', { ...rule, query: 'advent', from: `${year}-12-01T00:00:00Z`, until: `${year}-12-24T00:00:00+01:00` });
    expect(await pinsOn(one, 'advent')).toEqual([]);
    expect(await pinsOn(one, 'advent', `&at=${year}-12-01T00:00:00Z`)).toHaveLength(1);
    expect(await pinsOn(one, 'advent', `&at=${year}-12-23T23:00:00Z`)).toEqual([]);
  });
  it('shows in a preview with its synonyms, boosts and hides', async () => {
    await create('/api/admin/synonyms', { kind: 'one_way', terms: ['earbuds'], means: ['head phones'] });
    const { id } = await create('/api/admin/rules', { query: 'head phones', action: { type: 'boost', select: { brand: 'Nhật Minh' } } });
    const hidden = await create('/api/admin/rules', { category: 'Audio', action: { type: 'hide', select: { skus: ['z'] } } });
    expect((await one.call('GET', '/api/admin/relevance?q=earbuds&category=Audio')).body).toMatchObject({
      synonyms: [{ words: 'earbuds', alternatives: ['head phones'] }], pins: [], boosts: [{ rule: String(id), type: 'boost', select: { brand: 'Nhật Minh' } }], hides: [{ rule: String(hidden['id']), select: { skus: ['z'] } }],
    });
    expect(await one.call('GET', '/api/admin/relevance?at=tomorrow')).toMatchObject({ status: 400, body: { pointer: '/at' } });
  });
});
