import { expect, it } from '@jest/globals';
import { InvalidCursorError } from '../ports.ts';
import type { SearchDocument, SearchQuery } from '../ports.ts';
import { product, skusOf, toTombstone, withFixture } from './fixture.ts';
import type { Fixture, OpenSearchAdapter } from './fixture.ts';

const CATEGORIES = ['Audio', 'Video', 'Kitchen & Home', 'Nhà bếp', null];
const BRANDS = ['Acme', 'Nhật Minh', null];

/** Varied products: each property has its own period, so that all combinations occur. */
export const catalogue = (count: number): SearchDocument[] =>
  Array.from({ length: count }, (_, i) => {
    const isVnd = i % 4 === 0;
    const priceMinor = i % 7 === 0 ? null : (i * 7_919) % 300_000;
    return product({
      sku: `SKU-${String(i).padStart(4, '0')}`,
      name: `${i % 2 === 0 ? 'Kettle' : 'Lamp'} ${i % 3 === 0 ? 'deluxe' : 'basic'}`,
      category: CATEGORIES[i % CATEGORIES.length] ?? null,
      brand: BRANDS[i % BRANDS.length] ?? null,
      merchant_id: 1 + (i % 2),
      currency: isVnd ? 'VND' : 'USD',
      price_minor: priceMinor,
      price: priceMinor === null ? null : isVnd ? priceMinor : priceMinor / 100,
      stock: [null, 0, 5][i % 3] ?? null,
      created_at: new Date(Date.UTC(2026, 0, 1) + (i % 50) * 60_000).toISOString(),
    });
  });

type Filter = Partial<SearchQuery>;
const priceIn = (document: SearchDocument, currency: string): number | null => (document.currency === currency ? document.price_minor : null);

function matches(document: SearchDocument, filter: Filter): boolean {
  const price = priceIn(document, filter.currency ?? 'USD');
  const hasPriceFilter = filter.minPriceMinor !== undefined || filter.maxPriceMinor !== undefined;
  if (hasPriceFilter && (price === null || price < (filter.minPriceMinor ?? 0) || price > (filter.maxPriceMinor ?? Infinity))) return false;
  if (filter.q !== undefined && !filter.q.split(' ').some((word) => document.name.toLowerCase().split(' ').includes(word))) return false;
  return (
    (filter.merchantId === undefined || document.merchant_id === filter.merchantId) &&
    (filter.category === undefined || document.category === filter.category) &&
    (filter.brand === undefined || document.brand === filter.brand) &&
    (filter.inStock === undefined || (document.stock !== 0) === filter.inStock)
  );
}

const FILTERS: { name: string; filter: Filter }[] = [
  { name: 'nothing', filter: {} },
  { name: 'words', filter: { q: 'kettle deluxe' } },
  { name: 'a category', filter: { category: 'Kitchen & Home' } },
  { name: 'a category that does not exist', filter: { q: 'kettle', category: 'None' } },
  { name: 'a brand', filter: { q: 'lamp', brand: 'Nhật Minh' } },
  { name: 'a merchant', filter: { merchantId: 2 } },
  { name: 'in stock', filter: { q: 'lamp', inStock: true } },
  { name: 'out of stock', filter: { inStock: false } },
  { name: 'a price range', filter: { minPriceMinor: 10_000, maxPriceMinor: 158_380 } },
  { name: 'a lowest price', filter: { q: 'basic', minPriceMinor: 100_000 } },
  { name: 'a price range in another currency', filter: { currency: 'VND', maxPriceMinor: 100_000 } },
  { name: 'a currency that nothing has a price in', filter: { currency: 'KWD', minPriceMinor: 0 } },
  { name: 'everything at once', filter: { q: 'kettle', category: 'Audio', brand: 'Acme', merchantId: 1, inStock: true, minPriceMinor: 0 } },
];

function tally<K>(keys: readonly (K | null)[]): Map<K, number> {
  const counts = new Map<K, number>();
  for (const key of keys) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** All pages, following the cursors. */
async function pages({ search }: Fixture, query: Partial<SearchQuery>): Promise<SearchDocument[]> {
  const found: SearchDocument[] = [];
  let cursor: string | undefined;
  do {
    const answer = await search({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...answer.hits.map((hit) => hit.product));
    cursor = answer.next;
  } while (cursor !== undefined && found.length < 1_000);
  return found;
}

function describeFilters(open: OpenSearchAdapter): void {
  it('filters by, and counts facets of, exactly what matches', () =>
    withFixture(open, async ({ put, search }) => {
      const documents = catalogue(120);
      await put(...documents);
      for (const { name, filter } of FILTERS) {
        const expected = documents.filter((document) => matches(document, filter));
        const { hits, total, facets } = await search({ ...filter, limit: 100 });
        expect({ name, total, skus: new Set(skusOf(hits)).size }).toEqual({ name, total: expected.length, skus: Math.min(100, expected.length) });
        expect(hits.every((hit) => matches(hit.product, filter))).toBe(true);
        expect(new Map(facets.category.map(({ value, count }) => [value, count]))).toEqual(tally(expected.map((document) => document.category)));
        expect(new Map(facets.brand.map(({ value, count }) => [value, count]))).toEqual(tally(expected.map((document) => document.brand)));
        expect(new Map(facets.merchant.map(({ value, count }) => [value, count]))).toEqual(tally(expected.map((document) => document.merchant_id)));
        const prices = expected.map((document) => priceIn(document, filter.currency ?? 'USD')).filter((price) => price !== null);
        expect(facets.price).toEqual(
          facets.price.map((range) => ({ ...range, count: prices.filter((price) => price >= range.fromMinor && price < (range.toMinor ?? Infinity)).length })),
        );
        expect(facets.price.reduce((sum, { count }) => sum + count, 0)).toBe(prices.length);
        expect(facets.category.map(({ count }) => count)).toEqual(facets.category.map(({ count }) => count).toSorted((a, b) => b - a));
      }
    }));

  it('does not count deleted products, nor the old values of changed ones', () =>
    withFixture(open, async ({ put, writer, search }) => {
      await put(product({ sku: 'a', category: 'Old', name: 'kettle' }), product({ sku: 'b', category: 'Gone', name: 'kettle' }));
      await put(product({ sku: 'a', category: 'New', name: 'kettle', version: 2 }));
      await writer.apply([toTombstone('b', 2)]);
      for (const q of ['kettle', '']) {
        const { total, facets } = await search({ q });
        expect({ total, category: facets.category }).toEqual({ total: 1, category: [{ value: 'New', count: 1 }] });
      }
    }));
}

function describeSorts(open: OpenSearchAdapter): void {
  it.each(['price_asc', 'price_desc', 'newest'] as const)('sorts by %s, products without a price in the currency last', (sort) =>
    withFixture(open, async (fixture) => {
      const documents = catalogue(60);
      await fixture.put(...documents);
      for (const currency of ['USD', 'VND']) {
        const key = (document: SearchDocument): number => {
          if (sort === 'newest') return -Date.parse(document.created_at);
          const price = priceIn(document, currency);
          return price === null ? Infinity : sort === 'price_asc' ? price : -price;
        };
        const expected = documents.toSorted((a, b) => (key(a) === key(b) ? (a.sku < b.sku ? -1 : 1) : key(a) - key(b)));
        expect((await pages(fixture, { sort, currency, limit: 7 })).map(({ sku }) => sku)).toEqual(expected.map(({ sku }) => sku));
      }
    }));

  it('scores better hits higher', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...catalogue(40));
      const scores = (await search({ q: 'kettle deluxe', limit: 40 })).hits.map((hit) => hit.score);
      expect(scores).toEqual(scores.toSorted((a, b) => b - a));
      expect(scores[0]).toBeGreaterThan(scores.at(-1) ?? 0);
    }));
}

function describeCursors(open: OpenSearchAdapter): void {
  it('pages through 250 products without holes or repetition', () =>
    withFixture(open, async (fixture) => {
      const documents = catalogue(250);
      await fixture.put(...documents);
      for (const query of [{ limit: 33 }, { q: 'kettle lamp', limit: 100 }, { q: 'kettle lamp', sort: 'price_desc', limit: 41 }] as const) {
        const found = await pages(fixture, query);
        expect(found.map(({ sku }) => sku).toSorted()).toEqual(documents.map(({ sku }) => sku));
      }
    }));

  it.each(['relevance', 'newest', 'price_asc'] as const)('neither repeats nor skips products by %s while other products come and go', (sort) =>
    withFixture(open, async (fixture) => {
      const documents = catalogue(60);
      await fixture.put(...documents);
      const query = { q: 'deluxe kettle', sort, limit: 9 } as const;
      const before = (await pages(fixture, { ...query, limit: 100 })).map(({ sku }) => sku);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const answer = await fixture.search({ ...query, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...skusOf(answer.hits));
        cursor = answer.next;
        const noise = Array.from({ length: 20 }, (_, i) => product({ sku: `noise-${seen.length}-${i}`, name: 'toaster', description: 'kettle-less '.repeat(i) }));
        await fixture.put(...noise.map((document) => ({ ...document, description: document.description?.replaceAll('kettle', 'quiet') ?? null })));
      } while (cursor !== undefined);
      expect(seen).toEqual(before);
    }));

  it('refuses cursors that it did not make for this query', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...catalogue(10));
      const { next = '' } = await search({ q: 'kettle', limit: 2 });
      expect(skusOf((await search({ q: 'kettle', limit: 3, cursor: next })).hits)).toHaveLength(3);
      const foreign = [
        search({ q: 'lamp', limit: 2, cursor: next }), search({ q: 'kettle', sort: 'newest', cursor: next }), search({ q: 'kettle', brand: 'Acme', cursor: next }),
        ...['', 'x', 'eyJ4IjoxfQ', `${next}x`.slice(3), 'é', 'a'.repeat(10_000)].map((cursor) => search({ q: 'kettle', cursor })),
      ];
      for (const answer of await Promise.allSettled(foreign)) {
        expect(answer.status === 'rejected' ? answer.reason : answer.value).toBeInstanceOf(InvalidCursorError);
      }
    }));

  it('gives no cursor on the last page', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...catalogue(4));
      expect((await search({ limit: 4 })).next).toBeUndefined();
      expect((await search({ limit: 3 })).next).toBeDefined();
    }));
}

function describeHighlights(open: OpenSearchAdapter): void {
  it('marks the matched words, and escapes everything else', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({
        sku: 'a', name: '<img src=x onerror=alert(1)> Running "shoes" & more', brand: "O'Run", description: `${'lead '.repeat(100)}<b>shoe</b> ${'tail '.repeat(100)}`,
      }));
      const [hit] = (await search({ q: 'run shoes' })).hits;
      expect(hit?.highlights['name']).toMatch(/^&lt;img src=x onerror=alert\(1\)&gt; <em>Running<\/em> &quot;<em>shoes<\/em>&quot; &amp; more$/);
      expect(hit?.highlights['description']).toMatch(/&lt;b&gt;<em>shoe<\/em>/);
      expect(hit?.highlights['description']?.length).toBeLessThan(500);
      for (const html of Object.values(hit?.highlights ?? {})) expect(html.replaceAll(/<\/?em>/g, '')).not.toMatch(/[<>"]/);
    }));

  it('marks words that were found through a correction, and through folding', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({ sku: 'a', name: 'Điện thoại headphones' }));
      expect((await search({ q: 'headphnes dien' })).hits[0]?.highlights).toMatchObject({ name: '<em>Điện</em> thoại <em>headphones</em>' });
    }));

  it('gives no highlights where no words were asked', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({ sku: 'a' }));
      expect((await search()).hits[0]?.highlights).toEqual({});
    }));
}

export function describeAnswers(open: OpenSearchAdapter): void {
  describeFilters(open);
  describeSorts(open);
  describeCursors(open);
  describeHighlights(open);
}
