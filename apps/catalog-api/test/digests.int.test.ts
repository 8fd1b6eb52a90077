import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { digestsSchema, statesSchema, versionsSchema } from '@millrace/contracts';
import { createVersionDigest } from '@millrace/projection';
import { uniqueName } from '@millrace/testing';
import { startCatalogApp } from './catalog-app.ts';
import type { CatalogApp } from './catalog-app.ts';

let app: CatalogApp;
beforeAll(async () => { app = await startCatalogApp(); });
afterAll(() => app.close());

const create = async (over: Record<string, unknown> = {}) => {
  const sku = uniqueName('sku');
  const answer = await app.call('POST', '/api/products', { body: { sku, name: 'Tai nghe', price: 89.9, stock: 5, ...over } });
  return { sku: String(answer.body['sku']), answer };
};

describe('digests for the reconcilers', () => {
  const digestsOf = async (query: string) => digestsSchema.parse((await app.call('GET', `/internal/products/digests?${query}`)).body);
  const versionsOf = async (query: string) => versionsSchema.parse((await app.call('GET', `/internal/products/versions?${query}`)).body);
  it('are those of the same (sku, version) computed by the workers, over skus of every script', async () => {
    const prefix = uniqueName('digest-');
    for (const tail of ['a', 'é', 'đ', '😀', '\uffee', 'z z']) await create({ sku: `${prefix}${tail}` });
    const gone = await create({ sku: `${prefix}gone` });
    await app.call('DELETE', `/api/products/${gone.sku}`, { headers: { 'if-match': '*' } });
    await create({ sku: `${prefix}draft`, status: 'draft' });
    const range = `from=${prefix}&to=${prefix}%F0%9F%98%81`;
    const { data, next } = await versionsOf(range);
    expect([data.map(([sku]) => sku), next]).toEqual([['a', 'z z', 'é', 'đ', '\uffee', '😀'].map((tail) => prefix + tail), null]);
    const digest = createVersionDigest();
    for (const [sku, version] of data) digest.add({ sku, version });
    expect(await digestsOf(range)).toMatchObject({ products: 6, buckets: [{ from: prefix, products: 6, digest: digest.hex }] });
    const { buckets } = await digestsOf(`${range}&buckets=4`);
    expect(buckets.map(({ from, products }) => [from, products])).toEqual([[prefix, 2], [`${prefix}é`, 2], [`${prefix}\uffee`, 1], [`${prefix}😀`, 1]]);
    for (const [at, bucket] of buckets.entries()) expect(bucket.to).toBe(buckets[at + 1]?.from ?? `${prefix}😁`);
    expect((await digestsOf(`${range}&buckets=1024`)).buckets).toHaveLength(6);
  });
  it('say that a range is empty, and page versions by sku', async () => {
    expect(await digestsOf('from=nothing-here&to=nothing-herf')).toMatchObject({ products: 0, buckets: [{ from: 'nothing-here', to: 'nothing-herf', products: 0, digest: '0000000000000000' }] });
    const prefix = uniqueName('page-');
    for (const n of [1, 2, 3]) await create({ sku: `${prefix}${n}` });
    const first = await versionsOf(`from=${prefix}&limit=2`);
    expect([first.data.map(([sku]) => sku), first.next]).toEqual([[`${prefix}1`, `${prefix}2`], `${prefix}2`]);
    expect((await versionsOf(`from=${prefix}&limit=2&after=${prefix}2`)).data[0]?.[0]).toBe(`${prefix}3`);
  });
  it('come with the present states, unknown skus left out, and a last version that none is above', async () => {
    const kept = await create();
    const gone = await create();
    await app.call('DELETE', `/api/products/${gone.sku}`, { headers: { 'if-match': '*' } });
    const answer = statesSchema.parse((await app.call('POST', '/internal/products/states', { body: { skus: [kept.sku, gone.sku, 'never-was'] } })).body);
    expect(answer.data).toEqual(expect.arrayContaining([{ type: 'product', product: kept.answer.body }, expect.objectContaining({ type: 'tombstone', sku: gone.sku })]));
    expect(answer.data).toHaveLength(2);
    expect(Math.max(...answer.data.map((state) => (state.type === 'product' ? state.product.version : state.version)))).toBeLessThanOrEqual(answer.last_version);
  });
  it.each(['digests?buckets=0', 'digests?from=b&to=a', 'digests?colour=1', 'versions?limit=0'])('refuse %s', async (query) => {
    expect(await app.call('GET', `/internal/products/${query}`)).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  });
});
