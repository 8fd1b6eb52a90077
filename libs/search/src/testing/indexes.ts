import { expect, it } from '@jest/globals';
import { SearchUnavailableError } from '../errors.ts';
import { product, skusOf, toChange, toTombstone, withFixture } from './fixture.ts';
import type { OpenSearchAdapter } from './fixture.ts';

export function describeSuggestions(open: OpenSearchAdapter): void {
  it('completes names, categories and brands', () =>
    withFixture(open, async ({ put, reader }) => {
      await put(
        product({ sku: 'a', name: 'Wireless mouse', category: 'Wireless gear', brand: 'Wirenex' }),
        product({ sku: 'b', name: 'Mouse mat', category: 'Desk' }),
        product({ sku: 'c', name: 'Điện thoại', brand: 'Nhật Minh' }),
      );
      expect(await reader.suggest('wire', 10)).toEqual([
        { text: 'Wireless gear', kind: 'category' }, { text: 'Wirenex', kind: 'brand' }, { text: 'Wireless mouse', kind: 'product', sku: 'a' },
      ]);
      expect((await reader.suggest('MOU', 10)).map(({ text }) => text)).toEqual(['Mouse mat', 'Wireless mouse']);
      expect((await reader.suggest('wireless mo', 10)).map(({ text }) => text)).toEqual(['Wireless mouse']);
      expect((await reader.suggest('dien th', 10)).map(({ text }) => text)).toEqual(['Điện thoại']);
      expect(await reader.suggest('nhat', 10)).toEqual([{ text: 'Nhật Minh', kind: 'brand' }]);
      expect(await reader.suggest('mouse', 1)).toHaveLength(1);
      for (const prefix of ['', '  ', '"', 'zzz']) expect(await reader.suggest(prefix, 10)).toEqual([]);
    }));

  it('tolerates one typo from four letters on in what is being typed', () =>
    withFixture(open, async ({ put, reader }) => {
      await put(product({ sku: 'a', name: 'Wireless headphones' }), product({ sku: 'b', name: 'Kettle', category: 'Kitchen' }));
      for (const prefix of ['wirl', 'haedph', 'wireles hedpho']) expect((await reader.suggest(prefix, 5)).map(({ text }) => text)).toEqual(['Wireless headphones']);
      expect((await reader.suggest('kitc', 5)).map(({ text }) => text)).toEqual(['Kitchen']);
      expect(await reader.suggest('wxr', 5)).toEqual([]);
    }));

  it('completes Vietnamese that is typed in Telex or VNI', () =>
    withFixture(open, async ({ put, reader }) => {
      await put(product({ sku: 'a', name: 'Điện thoại', category: 'Máy lạnh' }), product({ sku: 'b', name: 'Max speed' }));
      for (const prefix of ['ddieenj th', 'd9ien65 thoai5', 'dien thoaij']) expect((await reader.suggest(prefix, 5)).map(({ text }) => text)).toEqual(['Điện thoại']);
      expect((await reader.suggest('mays l', 5)).map(({ text }) => text)).toEqual(['Máy lạnh']);
      expect((await reader.suggest('max', 5)).map(({ text }) => text)).toEqual(['Max speed']);
    }));

  it('does not suggest what is gone, nor one name twice', () =>
    withFixture(open, async ({ put, writer, reader }) => {
      await put(product({ sku: 'a', name: 'Kettle', brand: 'Kettler' }), product({ sku: 'b', name: 'Lamp' }), product({ sku: 'c', name: 'Lamp' }));
      await writer.apply([toTombstone('a', 2)]);
      expect(await reader.suggest('kett', 5)).toEqual([]);
      expect((await reader.suggest('lamp', 5)).map(({ text }) => text)).toEqual(['Lamp']);
    }));
}

export function describeIndexes(open: OpenSearchAdapter): void {
  it('rejects with SearchUnavailableError while there is no index, and answers once there is one', async () => {
    const adapter = await open();
    const reader = adapter.openReader();
    try {
      expect(await adapter.admin.liveIndex()).toBeUndefined();
      await adapter.admin.ping();
      await expect(reader.search({ currency: 'USD', sort: 'relevance', limit: 5 })).rejects.toBeInstanceOf(SearchUnavailableError);
      await expect(reader.suggest('a', 5)).rejects.toBeInstanceOf(SearchUnavailableError);
      await adapter.admin.swapTo(await adapter.admin.createIndex());
      expect((await reader.search({ currency: 'USD', sort: 'relevance', limit: 5 })).total).toBe(0);
    } finally {
      await reader.close();
      await adapter.close();
    }
  });

  it('shows an open reader the new index after a swap, and nothing of it before', () =>
    withFixture(open, async ({ adapter: { admin }, index, put, skus, search }) => {
      await put(product({ sku: 'old', name: 'kettle' }));
      const next = await admin.createIndex();
      expect(next).not.toBe(index);
      const writer = await admin.openWriter(next);
      await writer.apply([toChange(product({ sku: 'new', name: 'kettle' }))]);
      expect(await skus({ q: 'kettle' })).toEqual(['old']);
      expect([await admin.count(index), await admin.count(next)]).toEqual([1, 1]);
      await admin.swapTo(next);
      expect(await admin.liveIndex()).toBe(next);
      expect(await skus({ q: 'kettle' })).toEqual(['new']);
      await writer.apply([toChange(product({ sku: 'later', name: 'kettle' }))]);
      await writer.close();
      expect((await search({ q: 'kettle' })).total).toBe(2);
      await admin.swapTo(next);
      expect((await search({ q: 'kettle' })).total).toBe(2);
      await admin.swapTo(index);
      expect(await skus({ q: 'kettle' })).toEqual(['old']);
    }));

  it('drops indexes other than the live one and those to keep', () =>
    withFixture(open, async ({ adapter: { admin }, index, put, skus }) => {
      await put(product({ sku: 'a' }));
      const [kept, dropped] = [await admin.createIndex(), await admin.createIndex()];
      await admin.dropOthers([kept]);
      expect(await admin.count(kept)).toBe(0);
      await expect(admin.count(dropped)).rejects.toBeInstanceOf(SearchUnavailableError);
      await expect(admin.swapTo(dropped)).rejects.toBeInstanceOf(SearchUnavailableError);
      expect(await admin.liveIndex()).toBe(index);
      expect(await skus()).toEqual(['a']);
    }));

  it('gives two callers that create an index at once different ones', () =>
    withFixture(open, async ({ adapter: { admin } }) => {
      const names = await Promise.all([admin.createIndex(), admin.createIndex(), admin.createIndex()]);
      expect(new Set(names).size).toBe(3);
    }));

  it('does not create an index by writing to one that was dropped', () =>
    withFixture(open, async ({ adapter: { admin } }) => {
      const dropped = await admin.createIndex();
      const writer = await admin.openWriter(dropped);
      await admin.dropOthers([]);
      const refused = await writer.apply([toChange(product({ sku: 'a' }))]).then(
        (results) => results.every(({ outcome }) => outcome === 'failed'),
        (error: unknown) => error instanceof SearchUnavailableError,
      );
      expect(refused).toBe(true);
      await writer.close();
      await expect(admin.count(dropped)).rejects.toBeInstanceOf(SearchUnavailableError);
    }));

  it('lets several readers see one index', () =>
    withFixture(open, async ({ adapter, put }) => {
      await put(product({ sku: 'a' }));
      const readers = [adapter.openReader(), adapter.openReader()];
      const answers = await Promise.all(readers.map((reader) => reader.search({ currency: 'USD', sort: 'newest', limit: 5 })));
      for (const reader of readers) await reader.close();
      expect(answers.map(({ hits }) => skusOf(hits))).toEqual([['a'], ['a']]);
    }));
}
