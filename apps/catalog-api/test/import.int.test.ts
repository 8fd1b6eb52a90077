import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uniqueName } from '@millrace/testing';
import { startCatalogApp } from './catalog-app.ts';
import type { CatalogApp } from './catalog-app.ts';

let app: CatalogApp;
beforeAll(async () => { app = await startCatalogApp(); });
afterAll(() => app.close());

const rowsOf = (prefix: string, count: number, over: Record<string, unknown> = {}): string =>
  Array.from({ length: count }, (_, n) => JSON.stringify({ sku: `${prefix}-${n}`, name: `Product ${n}`, price_cents: 1_000 + n, ...over })).join('\n');
const countOf = async (prefix: string): Promise<number> => Number((await app.pool.query<{ n: number }>('select count(*) as n from catalog.products where sku like $1 and deleted_at is null', [`${prefix}-%`])).rows[0]?.n);

describe('import', () => {
  it('imports NDJSON with an exact price factor, then finds everything unchanged, then updates', async () => {
    const prefix = uniqueName('imp');
    const map = '?map=price%3Dprice_cents:0.01';
    expect((await app.import(rowsOf(prefix, 2_500), map)).report).toMatchObject({ type: 'report', rows: 2_500, created: 2_500, updated: 0, unchanged: 0, failed: 0, committed: true, error: null });
    expect((await app.call('GET', `/api/products/${prefix}-7`)).body).toMatchObject({ price: 10.07, price_minor: 1_007, currency: 'USD', merchant_id: 1, attributes: {} });
    expect((await app.import(rowsOf(prefix, 2_500), map)).report).toMatchObject({ created: 0, updated: 0, unchanged: 2_500 });
    expect((await app.import(rowsOf(prefix, 3, { brand: 'B' }), map)).report).toMatchObject({ created: 0, updated: 3 });
  });
  it('lands good rows and reports each bad one with its line and reason', async () => {
    const prefix = uniqueName('imp');
    const { lines, report } = await app.import(`${rowsOf(prefix, 2)}\n{broken\n{"sku":"${prefix}-x"}\n{"sku":"${prefix}-m","name":"n","merchant_id":77}\n${rowsOf(`${prefix}-z`, 1)}\n`);
    expect(report).toMatchObject({ rows: 6, created: 3, failed: 3, last_good_line: 6 });
    expect(lines.filter((line) => line['type'] === 'error')).toMatchObject([{ line: 3, code: 'malformed_row' }, { line: 4, pointer: '/name', detail: 'is missing' }, { line: 5, pointer: '/merchant_id' }]);
  });
  it('imports CSV and reports a ragged row', async () => {
    const prefix = uniqueName('imp');
    const { lines, report } = await app.import(`\uFEFFsku,name,price,stock\n${prefix}-1,"Ấm, đun",19.90,3\n${prefix}-2,x\n${prefix}-3,y,5,\n`, '', 'text/csv');
    expect(report).toMatchObject({ rows: 3, created: 2, failed: 1 });
    expect(lines[0]).toMatchObject({ type: 'error', line: 3, code: 'ragged_row' });
    expect((await app.call('GET', `/api/products/${prefix}-1`)).body).toMatchObject({ name: 'Ấm, đun', price: 19.9, stock: 3 });
  });
  it('keeps the rows before the damage of a truncated gzip, and names the last good line', async () => {
    const prefix = uniqueName('imp');
    const packed = gzipSync(Array.from({ length: 20_000 }, (_, n) => JSON.stringify({ sku: `${prefix}-${n}`, name: `P ${Math.sin(n)}` })).join('\n'));
    const { report } = await app.import(packed.subarray(0, packed.length / 2));
    expect(report).toMatchObject({ failed: 0, committed: true, error: expect.stringContaining('breaks off'), last_good_line: expect.any(Number) });
    expect(await countOf(prefix)).toBe(report['created']);
    expect(report['last_good_line']).toBe(report['created']);
    expect(report['created']).toBeGreaterThan(1_000);
  });
  it('changes nothing in a dry run and tells what would change', async () => {
    const prefix = uniqueName('imp');
    await app.import(rowsOf(prefix, 2));
    expect((await app.import(`${rowsOf(prefix, 1)}\n${rowsOf(prefix, 2, { brand: 'B' }).split('\n')[1] ?? ''}\n${rowsOf(`${prefix}-new`, 3)}`, '?dry_run=true')).report).toMatchObject({ dry_run: true, committed: false, created: 3, updated: 1, unchanged: 1 });
    expect(await countOf(prefix)).toBe(2);
  });
  it('imports all or nothing with atomic', async () => {
    const prefix = uniqueName('imp');
    expect((await app.import(`${rowsOf(prefix, 5)}\n{"sku":"${prefix}-bad"}`, '?atomic=true')).report).toMatchObject({ committed: false, failed: 1, error: expect.stringContaining('nothing was imported') });
    expect(await countOf(prefix)).toBe(0);
    expect((await app.import(`${rowsOf(prefix, 5)}\n${rowsOf(prefix, 1, { name: 'last wins\t\\n' })}`, '?atomic=true')).report).toMatchObject({ committed: true, created: 5, failed: 0 });
    expect((await app.call('GET', `/api/products/${prefix}-0`)).body['name']).toBe('last wins\t\\n');
  });
  it('lets the later line win where a sku comes twice', async () => {
    const prefix = uniqueName('imp');
    await app.import(`${rowsOf(prefix, 1)}\n${rowsOf(prefix, 1, { name: 'second' })}`);
    expect((await app.call('GET', `/api/products/${prefix}-0`)).body['name']).toBe('second');
  });
  it('takes up a deleted sku again', async () => {
    const prefix = uniqueName('imp');
    await app.import(rowsOf(prefix, 1));
    await app.call('DELETE', `/api/products/${prefix}-0`, { headers: { 'if-match': '*' } });
    expect((await app.import(rowsOf(prefix, 1))).report).toMatchObject({ created: 1, updated: 0 });
    expect((await app.call('GET', `/api/products/${prefix}-0`)).status).toBe(200);
  });
  it.each([['?map=price', '/map'], ['?currency=XQQ', '/currency'], ['?encoding=klingon', '/encoding'], ['?format=xml', '/format'], ['?colour=1', '/colour']])('refuses %s before reading', async (query, pointer) => {
    expect(await app.call('POST', `/api/products/import${query}`, { raw: '{}', headers: { 'content-type': 'application/x-ndjson' } })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
  });
  it('answers a header that it refuses, though most of the file is still to come', async () => {
    const raw = `sku,name,sku\n${'a,b,c\n'.repeat(50_000)}`;
    expect(await app.call('POST', '/api/products/import', { raw, headers: { 'content-type': 'text/csv' } })).toMatchObject({ status: 400, body: { code: 'invalid_request', detail: expect.stringContaining('twice') } });
  });
  it('asks for a media type that it can read', async () => {
    expect((await app.call('POST', '/api/products/import', { raw: '{}', headers: { 'content-type': 'application/json' } })).status).toBe(415);
  });
});
