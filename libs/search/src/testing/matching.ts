import { expect, it } from '@jest/globals';
import { product, withFixture } from './fixture.ts';
import type { OpenSearchAdapter } from './fixture.ts';

const HOSTILE = [
  '"', "'", '" OR name:*', 'NEAR(a b)', 'a AND', 'AND', 'NOT', '*', '-kettle', 'name:kettle^9', '(((', '{"match_all":{}}', '\\', '%_', ';drop table doc;--',
  '\0', 'ket\0tle', '😀', '😀😀 kettle', '\ud800', '\u202e', '   ', '\n\t', '<script>', '%00', '../..', 'đ'.repeat(10_000), 'a '.repeat(5_000),
  Array.from({ length: 2_000 }, (_, i) => `w${i}`).join(' '), '~1', 'kettle~2', '/ket.*/', '[a TO z]', '?', '#', 'null', 'undefined', '__proto__', 'constructor',
];

export function describeMatching(open: OpenSearchAdapter): void {
  it.each(['name', 'sku', 'mpn', 'brand', 'category', 'description'] as const)('finds words of the %s', (field) =>
    withFixture(open, async ({ put, skus }) => {
      const found = product({ sku: 'found', [field]: 'zebra' });
      await put(found, product({ sku: 'other', name: 'kettle' }));
      expect(await skus({ q: 'zebra' })).toEqual([found.sku]);
    }));

  it('finds a product by any of its eans', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'a', ean: ['4006381333931', '96385074'] }), product({ sku: 'b' }));
      expect(await skus({ q: '96385074' })).toEqual(['a']);
      expect(await skus({ q: 'something 4006381333931' })).toEqual(['a']);
    }));

  it('puts an exact sku first, then exact mpns, then the best text', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(
        product({ sku: 't1', name: 'AX-200 AX-200 AX-200 case', description: 'for AX-200' }),
        product({ sku: 'm1', name: 'Something else of a rather longer name', mpn: 'AX-200' }),
        product({ sku: 'AX-200', name: 'Quite another thing with many words in its name' }),
      );
      expect(await skus({ q: 'ax-200' })).toEqual(['AX-200', 'm1', 't1']);
      expect((await skus({ q: 'AX200' })).toSorted()).toEqual(['AX-200', 'm1']);
    }));

  it('finds a sku made of signs alone', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: '+++', name: 'kettle' }), product({ sku: 'b' }));
      expect(await skus({ q: '+++' })).toEqual(['+++']);
      expect(await skus({ q: '++' })).toEqual([]);
    }));

  it('ranks documents with all words before those with some', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(
        product({ sku: 'some', name: 'zebra zebra zebra' }),
        product({ sku: 'all', name: 'A long name in which the word zebra stands', description: `${'filler '.repeat(80)} kettle` }),
        product({ sku: 'none', name: 'toaster' }),
      );
      expect(await skus({ q: 'zebra kettle' })).toEqual(['all', 'some']);
    }));

  it('tolerates one typo from four letters on, and two from eight', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'a', name: 'Wireless headphones' }), product({ sku: 'b', name: 'Lamp' }), product({ sku: 'c', name: 'Pen' }));
      for (const q of ['headphnes', 'haedphones', 'heedphonas', 'wirelss headphones']) expect(await skus({ q })).toEqual(['a']);
      for (const q of ['lmap', 'lanp', 'lampp', 'xlamp']) expect(await skus({ q })).toEqual(['b']);
      for (const q of ['lxxp', 'pem', 'hxxdphxnes']) expect(await skus({ q })).toEqual([]);
    }));

  it('corrects to a word that came into the index a moment ago', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'a', name: 'Lamp' }));
      expect(await skus({ q: 'ketle' })).toEqual([]);
      await put(product({ sku: 'b', name: 'Kettle' }));
      expect(await skus({ q: 'ketle' })).toEqual(['b']);
    }));

  it('does not correct words that the index knows, in whatever form', () =>
    withFixture(open, async ({ put, skus, search }) => {
      await put(product({ sku: 'a', name: 'steel cable' }), product({ sku: 'b', name: 'steal table' }));
      expect(await skus({ q: 'cable' })).toEqual(['a']);
      expect((await search({ q: 'cables' })).didYouMean).toBeUndefined();
    }));

  it('never takes a sku for a typo of another one', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'WX12345', name: 'Kettle', mpn: 'abc1def' }));
      expect(await skus({ q: 'WX12346' })).toEqual([]);
      expect(await skus({ q: 'abc2def' })).toEqual([]);
      expect(await skus({ q: 'WX12345' })).toEqual(['WX12345']);
    }));

  it('never takes a word for a typo of a sku or mpn, and still knows those words', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'ABCDEFGH', name: 'Kettle', mpn: 'QRSTUVWX' }), product({ sku: 'b', name: 'abcdefgi lamp' }));
      expect(await skus({ q: 'ABCDEFGX lantern' })).toEqual(['b']);
      expect(await skus({ q: 'QRSTUVWY' })).toEqual([]);
      expect(await skus({ q: 'abcdefgh' })).toEqual(['ABCDEFGH']);
    }));

  it.each([
    { name: 'other forms of a word', indexed: 'Running shoes', queries: ['run shoe', 'runs', 'SHOE'] },
    { name: 'letters without their accents', indexed: 'Crème brûlée set by Łódź', queries: ['creme brulee', 'CRÈME', 'lodz'] },
    { name: 'Vietnamese without marks', indexed: 'Điện thoại thông minh', queries: ['dien thoai', 'điện thoại', 'DIEN', 'Đien'] },
    { name: 'decomposed letters', indexed: 'Ấm đun nước'.normalize('NFD'), queries: ['Ấm đun nước', 'am dun nuoc', 'ẤM'.normalize('NFD')] },
  ])('finds $name', ({ indexed, queries }) =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'found', name: indexed }), product({ sku: 'other', name: 'toaster' }));
      for (const q of queries) expect(await skus({ q })).toEqual(['found']);
    }));

  it('prefers exact Vietnamese tones, and still finds the others', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(product({ sku: 'sugar', name: 'đường trắng' }), product({ sku: 'sun', name: 'dương trắng' }), product({ sku: 'flat', name: 'duong trang' }));
      expect((await skus({ q: 'đường' }))[0]).toBe('sugar');
      expect((await skus({ q: 'dương' }))[0]).toBe('sun');
      expect((await skus({ q: 'duong' })).toSorted()).toEqual(['flat', 'sugar', 'sun']);
    }));

  it('answers any string, and none as a query language', () =>
    withFixture(open, async ({ put, search, reader, skus }) => {
      await put(product({ sku: 'item-one', name: 'kettle' }), product({ sku: 'item-two', name: 'toaster' }));
      for (const q of HOSTILE) {
        const { total } = await search({ q });
        const expected = q.trim() === '' ? 2 : q.includes('kettle') ? 1 : 0;
        expect({ q, total }).toEqual({ q, total: expected });
        expect(Array.isArray(await reader.suggest(q, 5))).toBe(true);
        await search({ category: q, brand: q });
      }
      expect(await skus({ q: 'kettle' })).toEqual(['item-one']);
    }));
}
