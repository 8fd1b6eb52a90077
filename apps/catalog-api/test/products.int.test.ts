import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, uniqueName } from '@millrace/testing';
import { startCatalogApp } from './catalog-app.ts';
import type { CatalogApp } from './catalog-app.ts';

let app: CatalogApp;
beforeAll(async () => { app = await startCatalogApp(); });
afterAll(() => app.close());

const create = async (over: Record<string, unknown> = {}) => {
  const sku = uniqueName('sku');
  const answer = await app.call('POST', '/api/products', { body: { sku, name: 'Tai nghe', price: 89.9, stock: 5, ...over } });
  return { sku, answer, etag: answer.headers.get('etag') ?? '' };
};
const outboxOf = async (sku: string) => (await app.pool.query<{ event_type: string; version: number; data: string }>('select event_type, version, data from catalog.outbox where key = $1 order by seq', [sku])).rows;

describe('products', () => {
  it('creates a product with 201, its Location and an ETag of content and version', async () => {
    const { sku, answer } = await create();
    expect(answer).toMatchObject({ status: 201, body: { sku, price: 89.9, price_minor: 8_990, currency: 'USD', stock: 5, status: 'active', merchant_id: 1 } });
    expect([answer.headers.get('location'), answer.headers.get('etag')]).toEqual([`/api/products/${sku}`, `"${String(answer.body['version'])}.${String(answer.body['version'])}"`]);
  });
  it('gives up changing a product that others hold after 3 s with 503, so that other products can be changed meanwhile', async () => {
    const { sku } = await create();
    // As an import that commits.
    const other = await app.pool.connect();
    await other.query('begin');
    await other.query('select 1 from catalog.products where sku = $1 for update', [sku]);
    const held = [1, 2, 3].map((stock) => app.call('PUT', `/api/products/${sku}/stock`, { body: { stock }, headers: { 'if-match': '*' } }));
    await eventually(async () => {
      await other.query('select pg_stat_clear_snapshot()');
      return (await other.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rowCount === 3;
    });
    expect((await create()).answer.status).toBe(201);
    for (const answer of await Promise.all(held)) expect([answer.status, answer.body['code'], answer.headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
    await other.query('rollback');
    other.release();
    expect((await app.call('PUT', `/api/products/${sku}/stock`, { body: { stock: 3 }, headers: { 'if-match': '*' } })).status).toBe(200);
  });
  it('refuses a sku that exists with 409', async () => {
    const { sku } = await create();
    expect(await app.call('POST', '/api/products', { body: { sku, name: 'x' } })).toMatchObject({ status: 409, body: { code: 'duplicate', pointer: '/sku' } });
  });
  it('creates once for a repeated Idempotency-Key, also for two at the same time', async () => {
    const sku = uniqueName('sku');
    const post = () => app.call('POST', '/api/products', { body: { sku, name: 'x' }, headers: { 'idempotency-key': sku } });
    const answers = await Promise.all([post(), post()]);
    expect(answers.map((answer) => answer.status).every((status) => status === 201 || status === 409)).toBe(true);
    expect(await post()).toMatchObject({ status: 201, body: { sku } });
    expect(await outboxOf(sku)).toHaveLength(1);
  });
  it.each([
    ['a negative price', { price: -1 }, '/price'], ['an unknown currency', { currency: 'XQQ' }, '/currency'], ['a price that VND cannot express', { price: 0.5, currency: 'VND' }, '/price'],
    ['a long sku', { sku: 'x'.repeat(129) }, '/sku'], ['a sku with a slash', { sku: 'a/b' }, '/sku'], ['a wrong type', { stock: '5' }, '/stock'], ['an unknown field', { colour: 'red' }, '/colour'],
    ['an unknown merchant', { merchant_id: 99_999 }, '/merchant_id'], ['a malformed ean', { ean: ['12'] }, '/ean/0'],
  ])('refuses %s with a pointer and changes nothing', async (_what, over, pointer) => {
    const { sku, answer } = await create(over);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer, detail: expect.any(String) } });
    expect((await app.call('GET', `/api/products/${sku}`)).status).toBe(404);
  });
  it('requires If-Match on writes, and refuses one that is behind', async () => {
    const { sku, etag } = await create();
    expect(await app.call('PATCH', `/api/products/${sku}`, { body: { name: 'y' } })).toMatchObject({ status: 428, body: { code: 'precondition_required' } });
    expect(await app.call('PATCH', `/api/products/${sku}`, { body: { name: 'y' }, headers: { 'if-match': etag } })).toMatchObject({ status: 200, body: { name: 'y' } });
    const late = await app.call('DELETE', `/api/products/${sku}`, { headers: { 'if-match': etag } });
    expect(late).toMatchObject({ status: 412, body: { code: 'precondition_failed' } });
    expect(late.headers.get('etag')).not.toBe(etag);
  });
  it('does not refuse an editor because of a sale: stock keeps the content version', async () => {
    const { sku, etag } = await create();
    const sold = await app.call('POST', `/api/products/${sku}/stock/adjust`, { body: { delta: -2 } });
    expect(sold).toMatchObject({ status: 200, body: { stock: 3 } });
    expect(sold.headers.get('etag')).not.toBe(etag);
    expect((await app.call('PATCH', `/api/products/${sku}`, { body: { name: 'y' }, headers: { 'if-match': etag } })).status).toBe(200);
  });
  it('sets the stock only of the version that was seen, where the writer says which', async () => {
    const { sku, etag } = await create();
    const { body: { version } } = await app.call('GET', `/api/products/${sku}`);
    const set = (stock: number, expected: unknown) => app.call('PUT', `/api/products/${sku}/stock`, { body: { stock, expected_version: expected }, headers: { 'if-match': etag } });
    await app.call('POST', `/api/products/${sku}/stock/adjust`, { body: { delta: -1 } });
    expect(await set(9, version)).toMatchObject({ status: 412, body: { code: 'precondition_failed', pointer: '/expected_version' } });
    const { body: now } = await app.call('GET', `/api/products/${sku}`);
    expect(now).toMatchObject({ stock: 4 });
    const answers = await Promise.all(Array.from({ length: 5 }, (_none, at) => set(20 + at, now['version'])));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412, 412, 412]);
    expect((await set(9, 0)).status).toBe(400);
  });
  it('answers 304 only to the whole current ETag', async () => {
    const { sku, etag } = await create();
    expect((await app.call('GET', `/api/products/${sku}`, { headers: { 'if-none-match': etag } })).status).toBe(304);
    await app.call('PUT', `/api/products/${sku}/stock`, { body: { stock: 9 }, headers: { 'if-match': etag } });
    expect((await app.call('GET', `/api/products/${sku}`, { headers: { 'if-none-match': etag } })).status).toBe(200);
  });
  it('never lets the stock fall below 0, whoever comes at the same time', async () => {
    const { sku } = await create({ stock: 5 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => app.call('POST', `/api/products/${sku}/stock/adjust`, { body: { delta: -1 } })));
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(5);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(3);
    expect((await app.call('GET', `/api/products/${sku}`)).body['stock']).toBe(0);
  });
  it('refuses to adjust an unknown stock', async () => {
    const { sku } = await create({ stock: null });
    expect(await app.call('POST', `/api/products/${sku}/stock/adjust`, { body: { delta: 1 } })).toMatchObject({ status: 409, body: { code: 'conflict' } });
  });
  it('draws no version for a patch that changes nothing', async () => {
    const { sku, answer } = await create();
    const same = await app.call('PATCH', `/api/products/${sku}`, { body: { name: 'Tai nghe', price: '89.90' }, headers: { 'if-match': '*' } });
    expect(same.body['version']).toBe(answer.body['version']);
    expect(await outboxOf(sku)).toHaveLength(1);
  });
  it('commits an event with each change: the whole product, in version order, and a tombstone', async () => {
    const { sku } = await create();
    await app.call('PATCH', `/api/products/${sku}`, { body: { name: 'y' }, headers: { 'if-match': '*' } });
    const deleted = await app.call('DELETE', `/api/products/${sku}`, { headers: { 'if-match': '*' } });
    const again = await app.call('POST', '/api/products', { body: { sku, name: 'z' } });
    const events = await outboxOf(sku);
    expect(events.map((event) => event.event_type)).toEqual(['create', 'update', 'delete', 'create']);
    expect(events.map((event) => event.version)).toEqual(events.map((event) => event.version).toSorted((a, b) => a - b));
    expect(JSON.parse(events[2]?.data ?? '')).toEqual({ id: sku });
    expect([JSON.parse(events[3]?.data ?? ''), deleted.status, again.status]).toEqual([again.body, 204, 201]);
  });
  it('pages through everything by cursor, without holes or repetitions', async () => {
    const skus = await Promise.all(Array.from({ length: 7 }, async () => (await create()).sku));
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await app.call('GET', `/api/products?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...(Array.isArray(body['data']) ? body['data'] : []).map((product: { sku: string }) => product.sku));
      cursor = (body['page'] as { next: string | null }).next;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(skus));
  });
  it.each(['?limit=0', '?limit=501', '?colour=1', '?cursor=rubbish', '?updated_since=yesterday'])('refuses to list with %s', async (query) => {
    expect(await app.call('GET', `/api/products${query}`)).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: `/${/\w+/.exec(query)?.[0] ?? ''}` } });
  });
  it('answers an unknown sku with 404 whatever is asked', async () => {
    const answers = await Promise.all([app.call('GET', '/api/products/nope'), app.call('PATCH', '/api/products/nope', { body: {}, headers: { 'if-match': '*' } }), app.call('DELETE', '/api/products/nope', { headers: { 'if-match': '*' } })]);
    expect(answers.map((answer) => [answer.status, answer.body['code']])).toEqual(answers.map(() => [404, 'not_found']));
  });
});

describe('merchants', () => {
  it('creates, renames and deletes; refuses a taken id and one with products', async () => {
    const created = await app.call('POST', '/api/merchants', { body: { id: 40, name: 'A' } });
    expect(created).toMatchObject({ status: 201, body: { id: 40, name: 'A' } });
    expect((await app.call('POST', '/api/merchants', { body: { id: 40, name: 'B' } })).body['code']).toBe('duplicate');
    expect((await app.call('POST', '/api/merchants', { body: { name: 'C' } })).body['id']).toBe(41);
    expect((await app.call('PATCH', '/api/merchants/40', { body: { name: 'D' } })).body['name']).toBe('D');
    await create({ merchant_id: 40 });
    expect((await app.call('DELETE', '/api/merchants/40')).body['code']).toBe('conflict');
    expect((await app.call('DELETE', '/api/merchants/41')).status).toBe(204);
  });
});

describe('the internal export', () => {
  const lines = (text: string): Record<string, unknown>[] => text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>);
  it('has every product and tombstone with its version and ends with the watermark', async () => {
    const kept = await create();
    const gone = await create();
    await app.call('DELETE', `/api/products/${gone.sku}`, { headers: { 'if-match': '*' } });
    const all = lines((await app.call('GET', '/internal/products/export')).text);
    expect(all).toContainEqual(expect.objectContaining({ type: 'product', product: kept.answer.body }));
    expect(all).toContainEqual(expect.objectContaining({ type: 'tombstone', sku: gone.sku, version: expect.any(Number) }));
    expect(all.at(-1)).toMatchObject({ type: 'watermark', rows: all.length - 1, complete: true });
  });
  it('goes on behind `after` and stops at `limit`', async () => {
    await create();
    await create();
    const first = lines((await app.call('GET', '/internal/products/export?limit=1')).text);
    expect(first.at(-1)).toMatchObject({ rows: 1, complete: false });
    const second = lines((await app.call('GET', `/internal/products/export?limit=1&after=${String(first[0]?.['after'])}`)).text);
    expect(second[0]?.['after']).not.toBe(first[0]?.['after']);
  });
  it('never lets the watermark pass a writing transaction that is still open', async () => {
    const client = await app.pool.connect();
    try {
      await client.query('begin');
      const { rows } = await client.query<{ start: string }>(`select to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as start`);
      await create();
      const watermark = lines((await app.call('GET', '/internal/products/export?limit=1')).text).at(-1)?.['watermark'];
      expect(String(watermark) <= (rows[0]?.start ?? '')).toBe(true);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
