import { expect, it } from '@jest/globals';
import { product, skusOf, toChange, toTombstone, withFixture } from './fixture.ts';
import type { OpenSearchAdapter } from './fixture.ts';

export function describeVersions(open: OpenSearchAdapter): void {
  it('reports a repeated change as applied, and leaves one document', () =>
    withFixture(open, async ({ writer, search }) => {
      const change = toChange(product({ sku: 'a', name: 'kettle' }));
      expect(await writer.apply([change])).toMatchObject([{ sku: 'a', version: 1, outcome: 'applied' }]);
      expect(await writer.apply([change, change])).toMatchObject([{ outcome: 'applied' }, { outcome: 'applied' }]);
      expect((await search({ q: 'kettle' })).total).toBe(1);
    }));

  it('keeps the newest version when changes arrive in the wrong order', () =>
    withFixture(open, async ({ writer, skus }) => {
      const [older, newer] = [product({ sku: 'a', name: 'kettle', version: 1 }), product({ sku: 'a', name: 'toaster', version: 2 })];
      expect(await writer.apply([toChange(newer), toChange(older)])).toMatchObject([{ outcome: 'applied' }, { version: 1, outcome: 'stale' }]);
      expect(await skus({ q: 'kettle' })).toEqual([]);
      expect(await skus({ q: 'toaster' })).toEqual(['a']);
    }));

  it('does not let an older version bring back a deleted product', () =>
    withFixture(open, async ({ writer, adapter, index, put, skus }) => {
      await put(product({ sku: 'a', version: 1 }));
      expect(await writer.apply([toTombstone('a', 3)])).toMatchObject([{ outcome: 'applied' }]);
      expect(await writer.apply([toChange(product({ sku: 'a', version: 2 }))])).toMatchObject([{ outcome: 'stale' }]);
      expect(await writer.apply([toTombstone('a', 3)])).toMatchObject([{ outcome: 'applied' }]);
      expect(await skus()).toEqual([]);
      expect(await adapter.admin.count(index)).toBe(0);
    }));

  it('remembers a delete of a product that it never saw', () =>
    withFixture(open, async ({ writer, skus }) => {
      await writer.apply([toTombstone('a', 2)]);
      expect(await writer.apply([toChange(product({ sku: 'a', version: 1 }))])).toMatchObject([{ outcome: 'stale' }]);
      expect(await skus()).toEqual([]);
    }));

  it('finds a product that was created, deleted and created again in one batch', () =>
    withFixture(open, async ({ writer, skus }) => {
      const results = await writer.apply([
        toChange(product({ sku: 'a', name: 'first', version: 1 })), toTombstone('a', 2), toChange(product({ sku: 'a', name: 'second', version: 3 })),
      ]);
      expect(results.map(({ outcome }) => outcome)).toEqual(['applied', 'applied', 'applied']);
      expect(await skus({ q: 'second' })).toEqual(['a']);
      expect(await skus({ q: 'first' })).toEqual([]);
    }));

  it('keeps a product findable by its text after a change of stock and price', () =>
    withFixture(open, async ({ put, search }) => {
      const kettle = product({ sku: 'a', name: 'Electric kettle', price: 10, price_minor: 1000, stock: 5 });
      await put(kettle);
      await put({ ...kettle, version: 2, price: 12, price_minor: 1200, stock: 0 });
      const { hits } = await search({ q: 'kettle', inStock: false, minPriceMinor: 1200 });
      expect(hits.map((hit) => hit.product)).toMatchObject([{ sku: 'a', stock: 0, price: 12, version: 2 }]);
    }));

  it('forgets the old words when the text changes', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'a', name: 'kettle', mpn: 'KT-100', ean: ['12345678'], version: 1 }));
      await put(product({ sku: 'a', name: 'toaster', mpn: 'TS-200', version: 2 }));
      for (const q of ['kettle', 'KT-100', '12345678']) expect(await skus({ q })).toEqual([]);
      expect(await skus({ q: 'TS-200' })).toEqual(['a']);
    }));

  it('names the old and the new category of what it changed', () =>
    withFixture(open, async ({ writer, put }) => {
      await put(product({ sku: 'a', category: 'Audio', version: 1 }));
      const [moved] = await writer.apply([toChange(product({ sku: 'a', category: 'Video', version: 2 }))]);
      expect(moved?.categories.toSorted()).toEqual(['Audio', 'Video']);
      const [gone] = await writer.apply([toTombstone('a', 3)]);
      expect(gone?.categories).toEqual(['Video']);
    }));

  it('returns a product as it was given', () =>
    withFixture(open, async ({ put, search }) => {
      const full = product({
        sku: 'FULL 1', name: 'Ấm đun nước', description: 'line\nline 😀', category: 'Nhà bếp', brand: 'Nhật Minh', mpn: 'NM-1', ean: ['12345678', '87654321'],
        price: 290_000, price_minor: 290_000, currency: 'VND', stock: 4, image_url: 'https://example.com/a.jpg',
        attributes: { colour: 'black', 'odd.key': [1, { deep: null }], '': 'empty key', wireless: true, long: 'x'.repeat(40_000) },
      });
      await put(full);
      expect((await search({ q: 'nước' })).hits[0]?.product).toEqual(full);
    }));

  it('indexes a text of one very long word', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'a', name: 'kettle', description: 'đ'.repeat(20_000) }));
      expect(await skus({ q: 'kettle' })).toEqual(['a']);
    }));

  it('lets two writers work at once and keeps the newest version of each product', () =>
    withFixture(open, async ({ adapter, index, writer, search }) => {
      const second = await adapter.admin.openWriter(index);
      const batch = (version: number, from: number) =>
        Array.from({ length: 60 }, (_, i) => toChange(product({ sku: `s${from + i}`, name: `lamp v${version}`, version })));
      await Promise.all([writer.apply(batch(1, 0)), second.apply(batch(3, 30)), writer.apply(batch(2, 30)), second.apply(batch(4, 0))]);
      await second.close();
      const { hits, total } = await search({ q: 'lamp', limit: 100 });
      expect(total).toBe(90);
      expect(new Set(hits.map((hit) => hit.product.version))).toEqual(new Set([3, 4]));
      expect(new Set(skusOf(hits)).size).toBe(90);
    }));

  it('purges only tombstones, and only old ones', () =>
    withFixture(open, async ({ adapter, writer, put, skus }) => {
      await put(product({ sku: 'a' }));
      await writer.apply([toTombstone('b', 5)]);
      expect(await adapter.admin.purgeTombstones(30)).toBe(0);
      expect(await writer.apply([toChange(product({ sku: 'b', version: 4 }))])).toMatchObject([{ outcome: 'stale' }]);
      expect(await adapter.admin.purgeTombstones(-1)).toBe(1);
      expect(await skus()).toEqual(['a']);
      await put(product({ sku: 'b', version: 6 }));
      expect(await skus()).toEqual(['a', 'b']);
    }));
}
