import { describe, expect, it } from '@jest/globals';
import { InvalidVectorError, type SimilarHit, type SimilarQuery, type VectorRecord } from '../index.ts';
import type { Store, VectorFeatures } from '../testing.ts';
import { dimensions, payload, randomRecords, record, unit } from './records.ts';

interface Expected { readonly sku: string; readonly score: number }

function bruteForce(records: readonly VectorRecord[], vector: Float32Array, { limit, category, brand, excludeSkus }: SimilarQuery): Expected[] {
  return records
    .filter(({ sku, payload: of }) => !excludeSkus.includes(sku) && (category === undefined || of.category === category) && (brand === undefined || of.brand === brand))
    .flatMap(({ sku, vector: other }) => (other === undefined ? [] : [{ sku, score: vector.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0) }]))
    .toSorted((a, b) => b.score - a.score || (a.sku < b.sku ? -1 : 1))
    .slice(0, limit);
}

const recall = (hits: readonly SimilarHit[], expected: readonly Expected[]): number =>
  expected.length === 0 ? 1 : expected.filter(({ sku }) => hits.some((hit) => hit.sku === sku)).length / expected.length;

export function describeSearching({ exact, products: count = 1_000 }: VectorFeatures, store: () => Store): void {
  describe(`with ${count} products`, () => {
    const records = randomRecords(count);
    const filters: Record<string, Partial<SimilarQuery>> = {
      'no filter': {},
      'a category': { category: 'category 3' },
      'a selective brand': { brand: 'brand 7' },
      'category and brand': { category: 'category 2', brand: 'brand 31' },
      'a category that does not exist': { category: 'none' },
      'a limit above what is there': { brand: 'brand 7', limit: 1_000 },
    };

    it('finds what brute force finds, in its order, with every filter applied inside the search', async () => {
      const { writer, reader } = store();
      for (let start = 0; start < count; start += 500) await writer.upsert(records.slice(start, start + 500));
      for (const [name, filter] of Object.entries(filters)) {
        for (const { sku, vector = unit([1]) } of records.slice(0, 8)) {
          const query = { limit: 20, excludeSkus: [sku], ...filter };
          const [hits, expected] = [await reader.nearest(vector, query), bruteForce(records, vector, query)];
          expect(hits.some((hit) => hit.sku === sku)).toBe(false);
          expect(recall(hits, expected)).toBeGreaterThanOrEqual(exact ? 1 : 0.95);
          expect({ name, order: exact ? hits.map((hit) => hit.sku) : [] }).toEqual({ name, order: exact ? expected.map((hit) => hit.sku) : [] });
          hits.forEach((hit, at) => expect(hit.score).toBeCloseTo(expected[at]?.score ?? Number.NaN, exact ? 5 : 1));
        }
      }
    });
  });

  it('takes a filter for the very text that it is, whatever signs it has', async () => {
    const { writer, reader } = store();
    const texts = ['*', '\\*', '\\', 'a*', 'a', 'a\\', 'a|b', '{a}', '$category', ' a', 'A', 'tủ', 'tủ'.normalize('NFD'), '📱', 'a\0b', 'x'.repeat(600)];
    await writer.upsert(texts.map((text, at) => record(`sku-${at}`, 1, [1, at], { category: text, brand: text })));
    for (const [at, text] of texts.entries()) {
      for (const filter of [{ category: text }, { brand: text }]) {
        const hits = await reader.nearest(unit([1]), { limit: 5, excludeSkus: [], ...filter });
        expect({ text, skus: hits.map(({ sku }) => sku) }).toEqual({ text, skus: [`sku-${at}`] });
      }
    }
  });

  it('orders equal scores by sku', async () => {
    const { writer, reader } = store();
    await writer.upsert(['d', 'a', 'c', 'b'].map((sku) => record(sku, 1, [1, 2])));
    const hits = await reader.nearest(unit([1]), { limit: 10, excludeSkus: [] });
    expect(hits.map(({ sku }) => sku)).toEqual(['a', 'b', 'c', 'd']);
  });

  (exact ? it : it.skip)('gives the first of equal scores by sku where the limit cuts them', async () => {
    const { writer, reader } = store();
    await writer.upsert(['d', 'a', 'c', 'b'].map((sku) => record(sku, 1, [1, 2])));
    const hits = await reader.nearest(unit([1]), { limit: 2, excludeSkus: ['b'] });
    expect(hits.map(({ sku }) => sku)).toEqual(['a', 'c']);
  });

  it('answers with score, payload and time of embedding, and gives the whole record by sku', async () => {
    const { writer, reader } = store();
    const stored = record('Ü-1 "x"', 3, [3, 4], { category: 'Audio', brand: 'Nhật Minh', price_minor: null, in_stock: false, image_url: 'https://example.test/a.png' });
    await writer.upsert([stored]);
    const [hit] = await reader.nearest(unit([1]), { limit: 1, excludeSkus: [] });
    expect(hit).toEqual({ sku: stored.sku, score: expect.closeTo(0.6, 5), payload: stored.payload, embeddedAt: stored.embeddedAt });
    const { vector, ...rest } = (await reader.get(stored.sku)) ?? {};
    const { vector: sent, ...sentRest } = stored;
    expect(rest).toEqual(sentRest);
    expect([...(vector ?? [])].map((value) => expect.closeTo(value, 6))).toEqual([...(sent ?? [])]);
    expect(await reader.get('unknown')).toBeUndefined();
  });

  it('keeps a product without a vector, finds it by its sku and never as similar', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('plain', 1), record('other', 1, [1])]);
    expect(await reader.get('plain')).toEqual(record('plain', 1));
    expect((await reader.nearest(unit([1]), { limit: 10, excludeSkus: [] })).map(({ sku }) => sku)).toEqual(['other']);
  });

  it.each([
    { name: 'a zero vector', vector: new Float32Array(dimensions) },
    { name: 'too few dimensions', vector: new Float32Array([1]) },
    { name: 'a vector that is not of length 1', vector: new Float32Array(dimensions).fill(1) },
    { name: 'NaN', vector: new Float32Array(dimensions).fill(Number.NaN) },
  ])('refuses $name, to search by and to store, and stores nothing of that batch', async ({ vector }) => {
    const { writer, reader } = store();
    await expect(reader.nearest(vector, { limit: 1, excludeSkus: [] })).rejects.toThrow(InvalidVectorError);
    const bad = { sku: 'bad', version: 1, vector, textHash: 'h', payload: payload('bad'), embeddedAt: '2026-11-21T10:00:00.000Z' };
    await expect(writer.upsert([record('good', 1, [1]), bad])).rejects.toThrow(InvalidVectorError);
    expect(await writer.describe(['good', 'bad'])).toEqual(new Map());
  });

  it.each([0, -1, 1.5, 1_001])('refuses a limit of %d', async (limit) => {
    await expect(store().reader.nearest(unit([1]), { limit, excludeSkus: [] })).rejects.toThrow(/limit/);
  });
}
