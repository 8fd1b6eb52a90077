import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { VectorsUnavailableError } from '@millrace/vectors';
import { startShop } from './shop-app.ts';
import type { Shop, ShopInstance } from './shop-app.ts';

let shop: Shop;
let instance: ShopInstance;
beforeAll(async () => {
  shop = await startShop({ redisDb: 3, products: [
    { sku: 'desk-lamp', name: 'Bamboo desk lamp', category: 'Lamps', brand: 'Lumo' },
    { sku: 'floor-lamp', name: 'Bamboo floor lamp', category: 'Lamps', brand: 'Lumo' },
    { sku: 'wall-lamp', name: 'Bamboo wall lamp', category: 'Lamps', brand: 'Other' },
    { sku: 'desk', name: 'Bamboo standing desk', category: 'Desks', brand: 'Lumo' },
    { sku: 'chair', name: 'Office chair', category: 'Chairs', brand: null },
  ] });
  instance = await shop.startInstance();
});
afterAll(() => shop.close());

const skusOf = (body: Record<string, unknown>): unknown => (body['data'] as { sku: string }[]).map(({ sku }) => sku);

describe('products like several at once', () => {
  it('are like their mean and none of them, the same by POST and by GET', async () => {
    const post = await instance.call('POST', '/api/similar', { body: { product_ids: ['desk-lamp', 'floor-lamp', 'desk-lamp'], limit: 2, min_score: 0.3 } });
    expect(post).toMatchObject({ status: 200, body: { unknown: [], degraded: false, fallback: false } });
    expect(skusOf(post.body)).toEqual(['wall-lamp', 'desk']);
    expect((await instance.call('GET', '/api/similar?product_id=desk-lamp&product_id=floor-lamp&limit=2&min_score=0.3')).body).toEqual(post.body);
    expect(skusOf((await instance.call('GET', '/api/similar?product_id=desk-lamp&category=Desks&min_score=0.1')).body)).toEqual(['desk']);
  });
  it('names those that do not exist, and is 404 where none does', async () => {
    expect((await instance.call('POST', '/api/similar', { body: { product_ids: ['gone', 'desk', 'away'] } })).body).toMatchObject({ unknown: ['gone', 'away'] });
    expect(await instance.call('POST', '/api/similar', { body: { product_ids: ['gone', 'away'] } })).toMatchObject({ status: 404, body: { code: 'not_found', errors: [{ in: 'body', pointer: '/product_ids/0' }, { in: 'body', pointer: '/product_ids/1' }] } });
    expect(await instance.call('GET', '/api/similar?product_id=gone')).toMatchObject({ status: 404, body: { errors: [{ in: 'query', pointer: '/product_id/0' }] } });
  });
  it('come from the catalogue, marked, while the vector store is down', async () => {
    const down = async (): Promise<never> => Promise.reject(new VectorsUnavailableError('down'));
    const broken = await shop.startInstance({ vectors: { get: down, nearest: down, model: down } });
    const { body } = await broken.call('POST', '/api/similar', { body: { product_ids: ['desk-lamp', 'chair'], limit: 3 } });
    expect(body).toMatchObject({ degraded: true, fallback: true, model: null, unknown: [] });
    expect(skusOf(body)).toEqual(['wall-lamp', 'floor-lamp', 'desk']);
  });
  it.each([
    { why: 'none', method: 'POST', path: '/api/similar', body: { product_ids: [] }, pointer: '/product_ids' },
    { why: 'too many', method: 'POST', path: '/api/similar', body: { product_ids: Array.from({ length: 21 }, (_, n) => `s${n}`) }, pointer: '/product_ids' },
    { why: 'no sku', method: 'POST', path: '/api/similar', body: { product_ids: ['desk', 'a/b'] }, pointer: '/product_ids/1' },
    { why: 'no list', method: 'POST', path: '/api/similar', body: { product_ids: 'desk' }, pointer: '/product_ids' },
    { why: 'an unknown field', method: 'POST', path: '/api/similar', body: { product_ids: ['desk'], brand: 'x' }, pointer: '/brand' },
    { why: 'a score above 1', method: 'POST', path: '/api/similar', body: { product_ids: ['desk'], min_score: 2 }, pointer: '/min_score' },
    { why: 'none in the query', method: 'GET', path: '/api/similar', body: undefined, pointer: '/product_id' },
    { why: 'no sku in the query', method: 'GET', path: '/api/similar?product_id=desk&product_id=a%2Fb', body: undefined, pointer: '/product_id/1' },
    { why: 'too many in the query', method: 'GET', path: `/api/similar?${'product_id=a&'.repeat(21)}`, body: undefined, pointer: '/product_id' },
  ])('are refused for $why', async ({ method, path, body, pointer }) => {
    expect(await instance.call(method, path, { body })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
  });
});
