import { expect, it } from '@jest/globals';
import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { SearchUnavailableError } from '../errors.ts';
import type { SearchAdmin } from '../ports.ts';
import { product, toChange, toTombstone, withFixture } from './fixture.ts';
import type { OpenSearchAdapter } from './fixture.ts';

async function all(admin: SearchAdmin, index: string, ranges?: readonly SkuRange[]): Promise<StoredVersion[]> {
  const found: StoredVersion[] = [];
  for await (const page of admin.readVersions(index, ranges)) found.push(...page);
  return found;
}

// UTF-8 order and JavaScript's differ from the surrogates on: U+FF5E comes before an emoji by its bytes, after it by its UTF-16 units.
const SKUS = ['A', 'B 1', 'a', 'a/b', 'ab', 'é', 'đ', '～', '😀'];
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export function describeStoredVersions(open: OpenSearchAdapter): void {
  it('reads the version of every active sku once, in the order of their bytes', () =>
    withFixture(open, async ({ adapter: { admin }, index, writer, put }) => {
      await put(...SKUS.map((sku, i) => product({ sku, version: i + 1 })), product({ sku: 'gone' }));
      await writer.apply([toTombstone('gone', 2), toTombstone('never seen', 1)]);
      expect(await all(admin, index)).toEqual(SKUS.map((sku, i) => ({ sku, version: i + 1, deleted: false })).toSorted((a, b) => byBytes(a.sku, b.sku)));
    }));

  it('reads 12,000 versions in several batches without holes or repetition', () =>
    withFixture(open, async ({ adapter: { admin }, index, put }) => {
      const skus = Array.from({ length: 12_000 }, (_, i) => `S-${String(i).padStart(5, '0')}`);
      await put(...skus.map((sku) => product({ sku })));
      const pages: number[] = [];
      const found: string[] = [];
      for await (const page of admin.readVersions(index)) {
        pages.push(page.length);
        found.push(...page.map(({ sku }) => sku));
      }
      expect(found).toEqual(skus);
      expect(pages.length).toBeGreaterThan(1);
    }));

  it.each<{ name: string; ranges: SkuRange[]; expected: string[] }>([
    { name: 'from inclusive to exclusive', ranges: [{ from: 'a', to: 'ab' }], expected: ['a', 'a/b'] },
    { name: 'open ends', ranges: [{ to: 'B 1' }, { from: '～' }], expected: ['A', '～', '😀'] },
    { name: 'ranges that overlap, in any order, each sku once', ranges: [{ from: 'ab', to: '～' }, { from: 'a', to: 'é' }, { from: 'a/b', to: 'ab' }], expected: ['a', 'a/b', 'ab', 'é', 'đ'] },
    { name: 'a range inside of an open one', ranges: [{ from: 'é' }, { from: 'é', to: 'đ' }], expected: ['é', 'đ', '～', '😀'] },
    { name: 'no sku of an empty range', ranges: [{ from: 'b', to: 'a' }, { from: 'a', to: 'a' }], expected: [] },
    { name: 'no sku of no ranges', ranges: [], expected: [] },
  ])('reads $name', ({ ranges, expected }) =>
    withFixture(open, async ({ adapter: { admin }, index, put }) => {
      await put(...SKUS.map((sku) => product({ sku })));
      expect((await all(admin, index, ranges)).map(({ sku }) => sku)).toEqual(expected);
    }));

  it('stops reading when the signal aborts, with its reason', () =>
    withFixture(open, async ({ adapter: { admin }, index, put }) => {
      await put(product({ sku: 'a' }), product({ sku: 'b' }));
      const controller = new AbortController();
      const read = async (): Promise<void> => {
        for await (const page of admin.readVersions(index, [{ to: 'aa' }, { from: 'b' }], controller.signal)) {
          expect(page).toHaveLength(1);
          controller.abort(new Error('enough'));
        }
      };
      await expect(read()).rejects.toThrow('enough');
    }));

  it('says what is stored of skus, tombstones included', () =>
    withFixture(open, async ({ adapter: { admin }, index, writer, put }) => {
      await put(product({ sku: 'a', version: 3 }), product({ sku: 'b', version: 4 }));
      await writer.apply([toTombstone('b', 5)]);
      const stored = await admin.versionsOf(index, ['a', 'b', 'unknown', 'a']);
      expect(Object.fromEntries(stored)).toEqual({ a: { sku: 'a', version: 3, deleted: false }, b: { sku: 'b', version: 5, deleted: true } });
      expect((await admin.versionsOf(index, [])).size).toBe(0);
    }));

  it('says under which version searches see a sku', () =>
    withFixture(open, async ({ writer, reader, put }) => {
      await put(product({ sku: 'a', version: 3 }));
      expect(await reader.versionOf('a')).toEqual({ sku: 'a', version: 3, deleted: false });
      await writer.apply([toTombstone('a', 4)]);
      expect(await reader.versionOf('a')).toEqual({ sku: 'a', version: 4, deleted: true });
      expect(await reader.versionOf('unknown')).toBeUndefined();
    }));

  it('opens a reader of an index that is not live, which stays on it', () =>
    withFixture(open, async ({ adapter: { admin }, put, skus }) => {
      await put(product({ sku: 'live', name: 'kettle' }));
      const next = await admin.createIndex();
      const writer = await admin.openWriter(next);
      await writer.apply([toChange(product({ sku: 'next', name: 'kettle' }))]);
      await writer.close();
      const reader = await admin.openReader(next);
      try {
        const found = await reader.search({ q: 'kettle', currency: 'USD', sort: 'relevance', limit: 5 });
        expect(found.hits.map((hit) => hit.product.sku)).toEqual(['next']);
        expect(await reader.versionOf('live')).toBeUndefined();
        expect(await skus({ q: 'kettle' })).toEqual(['live']);
      } finally {
        await reader.close();
      }
    }));

  it('writes down with what definition an index was created', () =>
    withFixture(open, async ({ adapter: { admin }, index }) => {
      expect(admin.definitionHash).toMatch(/^[0-9a-f]{16}$/);
      expect(await admin.definitionHashOf(index)).toBe(admin.definitionHash);
    }));

  it('rejects with SearchUnavailableError for an index that is gone', () =>
    withFixture(open, async ({ adapter: { admin } }) => {
      const gone = await admin.createIndex();
      await admin.dropIndex(gone);
      await expect(all(admin, gone)).rejects.toBeInstanceOf(SearchUnavailableError);
      await expect(admin.versionsOf(gone, ['a'])).rejects.toBeInstanceOf(SearchUnavailableError);
      await expect(admin.definitionHashOf(gone)).rejects.toBeInstanceOf(SearchUnavailableError);
      const reader = await admin.openReader(gone);
      await expect(reader.versionOf('a')).rejects.toBeInstanceOf(SearchUnavailableError);
      await reader.close();
    }));
}
