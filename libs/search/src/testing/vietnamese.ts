import { expect, it } from '@jest/globals';
import { fold } from '../text.ts';
import { product, skusOf, withFixture } from './fixture.ts';
import type { OpenSearchAdapter } from './fixture.ts';
import { EXACT, TELEX, UNACCENTED, UNTOUCHED, VIETNAMESE_SHOP, VNI } from './vietnamese-cases.ts';

export function describeVietnamese(open: OpenSearchAdapter): void {
  it('finds Vietnamese however it is typed, the same marks first, and leaves other words alone', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...VIETNAMESE_SHOP);
      const [found, expected]: object[][] = [[], []];
      for (const { q, first, all, didYouMean } of [...EXACT, ...UNACCENTED, ...TELEX, ...VNI, ...UNTOUCHED]) {
        const answer = await search({ q, currency: 'VND', limit: 60 });
        const hits = skusOf(answer.hits).slice(0, first?.length ?? 60).toSorted();
        found?.push({ q, hits, didYouMean: answer.didYouMean });
        expected?.push({ q, hits: first ?? all, didYouMean });
      }
      expect(found).toEqual(expected);
    }));

  it('finds with marks whatever it finds without them', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...VIETNAMESE_SHOP);
      for (const { q } of EXACT) expect((await search({ q, limit: 60 })).total).toBe((await search({ q: fold(q), limit: 60 })).total);
    }));

  it('takes typed Vietnamese for a word that the index has without its marks', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({ sku: 'a', name: 'dien thoai' }), product({ sku: 'b', name: 'lamp' }));
      const { hits, didYouMean } = await search({ q: 'ddieenj thoaij' });
      expect({ skus: skusOf(hits), didYouMean }).toEqual({ skus: ['a'], didYouMean: 'dien thoai' });
    }));

  it('leaves a word alone that looks like typed Vietnamese, as soon as the index knows it', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'code', name: 'mã vạch' }), product({ sku: 'lamp', name: 'lamp' }));
      expect(await skus({ q: 'max' })).toEqual(['code']);
      await put(product({ sku: 'max', name: 'Lamp max' }));
      expect(await skus({ q: 'max' })).toEqual(['max']);
    }));

  it('takes a tone for a plural only where the index has the word without marks', () =>
    withFixture(open, async ({ put, search, skus }) => {
      await put(product({ sku: 'song', name: 'máy hát' }), product({ sku: 'lamp', name: 'lamp' }));
      expect((await search({ q: 'hats' })).didYouMean).toBe('hát');
      await put(...['h1', 'h2', 'h3'].map((sku) => product({ sku, name: 'Straw hat' })));
      expect((await skus({ q: 'hats' })).toSorted()).toEqual(['h1', 'h2', 'h3', 'song']);
      expect((await search({ q: 'hats' })).didYouMean).toBeUndefined();
    }));
}
