import { describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import type { SimilarQuery, VectorPayload, VectorRecord } from '@millrace/vectors';
import { findSimilar } from '../src/find-similar.ts';
import type { FindSimilarPorts } from '../src/find-similar.ts';

const payload = (category: string | null, brand: string | null): VectorPayload => ({ name: 'n', category, brand, merchant_id: 1, price_minor: 1_050, currency: 'USD', in_stock: true, image_url: null });
const stored = [
  { sku: 'near', score: 0.9, payload: payload('c1', 'b1') },
  { sku: 'close', score: 0.8, payload: payload('c2', 'b2') },
  { sku: 'same-category', score: 0.3, payload: payload('c0', 'b9') },
  { sku: 'same-brand', score: 0.2, payload: payload('c9', 'b0') },
  { sku: 'far', score: 0.5, payload: payload('c9', 'b9') },
].toSorted((a, b) => b.score - a.score).map((hit) => ({ ...hit, embeddedAt: '2026-11-01T00:00:00Z' }));
const product: Product = { ...productExample, status: 'active', sku: 'me', category: 'c0', brand: 'b0' };
const record: VectorRecord = { sku: 'me', version: 1, vector: new Float32Array([1]), textHash: 'h', payload: payload('c0', 'b0'), embeddedAt: '' };
const vectors: FindSimilarPorts['vectors'] = {
  get: async () => record,
  model: async () => ({ id: 'm1', dimensions: 1, document: '' }),
  nearest: async (_vector, { limit, category, brand, excludeSkus }: SimilarQuery) =>
    stored.filter((hit) => !excludeSkus.includes(hit.sku) && (category === undefined || hit.payload.category === category) && (brand === undefined || hit.payload.brand === brand)).slice(0, limit),
};
const newest: FindSimilarPorts['findNewest'] = async ({ category, brand }) => [product, { ...product, sku: brand === undefined ? 'newest' : 'newest-of-brand', category: category ?? null, brand: brand ?? null }];
const ask = (over: { limit?: number; minScore?: number; category?: string } = {}, ports: FindSimilarPorts = { vectors, findNewest: newest }) => findSimilar(ports, { products: [product], limit: 10, minScore: 0.75, ...over });
const shape = (answer: Awaited<ReturnType<typeof ask>>): string[] => answer.data.map((item) => `${item.sku}:${item.source}`);

describe('findSimilar', () => {
  it('fills what is missing from the category, the brand, then the nearest, and marks each', async () => {
    const answer = await ask();
    expect(shape(answer)).toEqual(['near:similar', 'close:similar', 'same-category:category', 'same-brand:brand', 'far:nearest']);
    expect(answer).toMatchObject({ fallback: true, model: 'm1', degraded: false });
  });
  it('does not fill where enough reach min_score', async () => {
    const answer = await ask({ limit: 2 });
    expect(shape(answer)).toEqual(['near:similar', 'close:similar']);
    expect(answer.fallback).toBe(false);
  });
  it('never leaves a category that was asked for', async () => {
    expect(shape(await ask({ category: 'c9' }))).toEqual(['same-brand:brand', 'far:category']);
  });
  it('shows the price of its currency', async () => {
    expect((await ask({ limit: 1 })).data[0]?.price).toBe(10.5);
  });
  it('answers the newest of the category, then of the brand, where the product has no vector, without itself', async () => {
    const { vector: _vector, ...withoutVector } = record;
    const answer = await ask({}, { vectors: { ...vectors, get: async () => withoutVector }, findNewest: newest });
    expect(shape(answer)).toEqual(['newest:category', 'newest-of-brand:brand']);
    expect(answer.fallback).toBe(true);
  });
  it('answers for several products at once by the mean of their vectors, without any of them, filled from the commonest of their categories first', async () => {
    const asked: Float32Array[] = [];
    const several: FindSimilarPorts['vectors'] = {
      ...vectors,
      get: async (sku) => (sku === 'plain' ? undefined : { ...record, sku, vector: sku === 'me' ? new Float32Array([1, 0]) : new Float32Array([0, 1]) }),
      nearest: async (vector, query) => {
        asked.push(vector);
        return vectors.nearest(vector, query);
      },
    };
    const products = [{ ...product, category: 'c1' }, { ...product, sku: 'near', category: 'c0' }, { ...product, sku: 'plain', category: 'c0', brand: null }];
    const answer = await findSimilar({ vectors: several, findNewest: newest }, { products, limit: 10, minScore: 0.75 });
    expect(shape(answer)).toEqual(['close:similar', 'same-category:category', 'same-brand:brand', 'far:nearest']);
    expect([...(asked[0] ?? [])]).toEqual([expect.closeTo(Math.SQRT1_2, 6), expect.closeTo(Math.SQRT1_2, 6)]);
  });
  it('answers the newest of their categories, then of their brands, where none of several has a vector', async () => {
    const products = [product, { ...product, sku: 'newest', category: 'c1', brand: null }];
    const answer = await findSimilar({ vectors: { ...vectors, get: async () => undefined }, findNewest: newest }, { products, limit: 10, minScore: 0.75 });
    expect(shape(answer)).toEqual(['newest-of-brand:brand']);
  });
});
