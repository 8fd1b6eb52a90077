import { expect, it } from '@jest/globals';
import { compileRelevance } from '../compile-relevance.ts';
import { InvalidCursorError } from '../ports.ts';
import type { SearchDocument, SearchQuery } from '../ports.ts';
import type { MerchandisingRule, SynonymRule } from '../relevance.ts';
import { product, skusOf, toTombstone, withFixture } from './fixture.ts';
import type { Fixture, OpenSearchAdapter } from './fixture.ts';

const NOW = new Date('2026-11-20T12:00:00Z');

const SYNONYMS: SynonymRule[] = [
  { id: 's1', kind: 'equivalent', terms: ['phone', 'smartphone', 'cell phone'] },
  { id: 's2', kind: 'one_way', terms: ['galaxy'], means: ['smartphone'] },
  { id: 's3', kind: 'equivalent', terms: ['tủ lạnh', 'fridge'] },
];

const withSynonyms = (query: Partial<SearchQuery>): Partial<SearchQuery> => ({ ...query, ...pick(compileRelevance({ synonyms: SYNONYMS, rules: [] }), query) });
const pick = (relevance: ReturnType<typeof compileRelevance>, { q, category }: Partial<SearchQuery>): Pick<SearchQuery, 'expansions' | 'merchandising'> =>
  relevance.forQuery({ ...(q === undefined ? {} : { q }), ...(category === undefined ? {} : { category }) }, NOW);

const PHONES = [
  product({ sku: 'phone', name: 'Red phone' }),
  product({ sku: 'smart', name: 'Red smartphone' }),
  product({ sku: 'cell', name: 'Red cell phone' }),
  product({ sku: 'galaxy', name: 'Red galaxy' }),
  product({ sku: 'cell-wall', name: 'Red cell wall' }),
  product({ sku: 'lamp', name: 'Red lamp' }),
];

function describeSynonyms(open: OpenSearchAdapter): void {
  it.each<{ q: string; found: string[] }>([
    { q: 'phone', found: ['cell', 'phone', 'smart'] },
    { q: 'smartphones', found: ['cell', 'phone', 'smart'] },
    { q: 'galaxy', found: ['galaxy', 'smart'] },
    { q: 'cell phone', found: ['cell', 'cell-wall', 'phone', 'smart'] },
  ])('finds by $q what means the same', ({ q, found }) =>
    withFixture(open, async ({ put, skus }) => {
      await put(...PHONES);
      expect((await skus(withSynonyms({ q }))).toSorted()).toEqual(found);
    }));

  it('takes a synonym, of several words too, for the word itself where all terms are asked', () =>
    withFixture(open, async ({ put, skus }) => {
      await put(...PHONES, product({ sku: 'blue', name: 'phone phone phone' }));
      expect((await skus(withSynonyms({ q: 'red smartphone' }))).slice(0, 3).toSorted()).toEqual(['cell', 'phone', 'smart']);
      expect((await skus(withSynonyms({ q: 'red cell phone' }))).slice(0, 3).toSorted()).toEqual(['cell', 'phone', 'smart']);
    }));

  it('ranks the word itself before its synonyms, however rare they are', () =>
    withFixture(open, async ({ put, skus }) => {
      const many = Array.from({ length: 30 }, (_, i) => product({ sku: `p${String(i).padStart(2, '0')}`, name: 'Red phone' }));
      await put(...many, product({ sku: 'a-smart', name: 'Red smartphone' }), ...Array.from({ length: 60 }, (_, i) => product({ sku: `lamp${i}`, name: 'Green lamp' })));
      const found = await skus(withSynonyms({ q: 'phone', limit: 40 }));
      expect(found).toHaveLength(31);
      expect(found.at(-1)).toBe('a-smart');
      expect((await skus(withSynonyms({ q: 'smartphone', limit: 40 })))[0]).toBe('a-smart');
    }));

  it('marks the synonym that was found', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({ sku: 'a', name: 'Tủ lạnh mini' }), product({ sku: 'b', name: 'Red cell phone' }));
      expect((await search(withSynonyms({ q: 'fridge' }))).hits[0]?.highlights['name']).toMatch(/^<em>Tủ( |<\/em> <em>)lạnh<\/em> mini$/);
      expect((await search(withSynonyms({ q: 'smartphone' }))).hits[0]?.highlights['name']).toMatch(/^Red <em>cell( |<\/em> <em>)phone<\/em>$/);
    }));

  it('does not correct a word that has synonyms here', () =>
    withFixture(open, async ({ put, search }) => {
      await put(product({ sku: 'a', name: 'smartphone' }), product({ sku: 'b', name: 'phones of stone' }), product({ sku: 'c', name: 'galaxies' }));
      const answer = await search(withSynonyms({ q: 'galaxy' }));
      expect(skusOf(answer.hits)).toContain('a');
      expect(answer.didYouMean).toBeUndefined();
    }));

  it('pages through an answer with synonyms without holes or repetition', () =>
    withFixture(open, async (fixture) => {
      await fixture.put(...Array.from({ length: 50 }, (_, i) => product({ sku: `s${String(i).padStart(2, '0')}`, name: `${['phone', 'smartphone', 'cell phone'][i % 3]} ${'x '.repeat(i % 7)}` })));
      expect((await pages(fixture, withSynonyms({ q: 'phone', limit: 7 }))).toSorted()).toEqual(Array.from({ length: 50 }, (_, i) => `s${String(i).padStart(2, '0')}`));
    }));
}

async function pages({ search }: Fixture, query: Partial<SearchQuery>): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const answer = await search({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...skusOf(answer.hits));
    cursor = answer.next;
  } while (cursor !== undefined && found.length < 500);
  return found;
}

const SHELF: SearchDocument[] = [
  product({ sku: 'k1', name: 'Kettle', brand: 'Acme', category: 'Kitchen', stock: 5, price: 10, price_minor: 1000, created_at: '2026-01-05T00:00:00Z' }),
  product({ sku: 'k2', name: 'Kettle of steel', brand: 'Bolt', category: 'Kitchen', stock: 0, price: 20, price_minor: 2000, created_at: '2026-01-04T00:00:00Z' }),
  product({ sku: 'k3', name: 'Kettle of some other sort of steel', brand: 'Cup', category: 'Kitchen', stock: 5, price: 30, price_minor: 3000, created_at: '2026-01-03T00:00:00Z' }),
  product({ sku: 'l1', name: 'Lamp', brand: 'Acme', category: 'Light', stock: 5, price: 40, price_minor: 4000, created_at: '2026-01-02T00:00:00Z' }),
  product({ sku: 'l2', name: 'Lantern', brand: 'Bolt', category: 'Light', stock: 0, price: 50, price_minor: 5000, created_at: '2026-01-01T00:00:00Z' }),
  // So that one kettle is better than another: a word that half of the products have says next to nothing.
  ...Array.from({ length: 12 }, (_, i) => product({ sku: `z${i}`, name: 'Wardrobe', category: 'Rooms', created_at: '2025-01-01T00:00:00Z' })),
];

const FOR = { query: 'kettle' } as const;
const pinned = (...skus: string[]): MerchandisingRule => ({ id: '12', ...FOR, action: { type: 'pin', skus } });
const rule = (id: string, type: 'boost' | 'bury' | 'hide', select: { skus?: string[]; brand?: string; category?: string }): MerchandisingRule => ({ id, ...FOR, action: { type, select } });
const inCategory = (category: string, ...rules: MerchandisingRule[]): MerchandisingRule[] => rules.map(({ id, action }) => ({ id, category, action }));

interface Case { readonly name: string; readonly rules: MerchandisingRule[]; readonly query?: Partial<SearchQuery>; readonly expected: string[] }

const CASES: Case[] = [
  { name: 'nothing without rules', rules: [], expected: ['k1', 'k2', 'k3'] },
  { name: 'pinned products first, in their order, matching or not', rules: [pinned('l1', 'k3')], expected: ['l1', 'k3', 'k1', 'k2'] },
  { name: 'no pinned product that fails a filter', rules: [pinned('l2', 'l1', 'k3')], query: { inStock: true }, expected: ['l1', 'k3', 'k1'] },
  { name: 'no pinned product that is gone or unknown', rules: [pinned('deleted', 'unknown', 'k3')], expected: ['k3', 'k1', 'k2'] },
  { name: 'no hidden product, pinned or not', rules: [pinned('l1', 'k3'), rule('1', 'hide', { category: 'Light' }), rule('2', 'hide', { skus: ['k1'] })], expected: ['k3', 'k2'] },
  { name: 'only products that match every field of a selector as hidden', rules: [rule('1', 'hide', { brand: 'Acme', category: 'Light' })], expected: ['k1', 'k2', 'k3'] },
  { name: 'nothing for a selector of a brand that there is not', rules: [rule('1', 'hide', { brand: 'None' }), rule('2', 'boost', { brand: 'None' })], expected: ['k1', 'k2', 'k3'] },
  { name: 'boosted products before others that match as well', rules: [rule('3', 'boost', { brand: 'Cup' })], expected: ['k3', 'k1', 'k2'] },
  { name: 'buried products after all others', rules: [rule('4', 'bury', { brand: 'Acme' })], expected: ['k2', 'k3', 'k1'] },
  { name: 'buried ones last, boosted or not, in the order that they had', rules: [rule('3', 'boost', { skus: ['k1'] }), rule('4', 'bury', { skus: ['k1', 'k2'] })], expected: ['k3', 'k1', 'k2'] },
  { name: 'buried products with all words after those with some', rules: [{ id: '4', query: 'kettle steel', action: { type: 'bury', select: { skus: ['k2', 'k3'] } } }], query: { q: 'steel kettle' }, expected: ['k1', 'k2', 'k3'] },
  { name: 'a pinned product first though it is buried', rules: [pinned('k3'), rule('4', 'bury', { skus: ['k3', 'k1'] })], expected: ['k3', 'k2', 'k1'] },
  { name: 'hides alone where the sort is by price', rules: [pinned('l1'), rule('1', 'hide', { skus: ['k1'] }), rule('3', 'boost', { brand: 'Cup' }), rule('4', 'bury', { brand: 'Bolt' })], query: { sort: 'price_asc' }, expected: ['k2', 'k3'] },
  { name: 'pins of a category before its newest products', rules: inCategory('Kitchen', pinned('k3')), query: { q: '', category: 'Kitchen' }, expected: ['k3', 'k1', 'k2'] },
  { name: 'no pin of another category', rules: inCategory('Kitchen', pinned('l1')), query: { q: '', category: 'Kitchen' }, expected: ['k1', 'k2', 'k3'] },
  { name: 'boosted products of a category first, buried ones last, each by date', rules: inCategory('Kitchen', rule('3', 'boost', { skus: ['k3', 'k2'] }), rule('4', 'bury', { skus: ['k1'] })), query: { q: '', category: 'Kitchen' }, expected: ['k2', 'k3', 'k1'] },
];

function describeMerchandising(open: OpenSearchAdapter): void {
  const query = (rules: MerchandisingRule[], fields: Partial<SearchQuery> = {}): Partial<SearchQuery> => {
    const asked = { q: 'kettle', ...fields };
    return { ...asked, ...pick(compileRelevance({ synonyms: [], rules }), asked) };
  };

  it('does what the rules say, shows what it counts, and pages through it one by one', () =>
    withFixture(open, async (fixture) => {
      await fixture.put(...SHELF, product({ sku: 'deleted', name: 'Kettle' }));
      await fixture.writer.apply([toTombstone('deleted', 2)]);
      for (const { name, rules, query: fields, expected } of CASES) {
        const { hits, total, facets } = await fixture.search(query(rules, fields));
        const byMerchant = facets.merchant.reduce((sum, { count }) => sum + count, 0);
        expect({ name, skus: skusOf(hits), total, byMerchant }).toEqual({ name, skus: expected, total: expected.length, byMerchant: expected.length });
        expect({ name, skus: await pages(fixture, { ...query(rules, fields), limit: 1 }) }).toEqual({ name, skus: expected });
        if (fields?.sort === undefined) expect(hits.map(({ score }) => score)).toEqual(hits.map(({ score }) => score).toSorted((a, b) => b - a));
      }
    }));

  it('counts pinned products that match no word in facets, and hidden ones not', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...SHELF);
      const { facets } = await search(query([pinned('l1'), rule('1', 'hide', { skus: ['k2'] })]));
      expect(new Map(facets.brand.map(({ value, count }) => [value, count]))).toEqual(new Map([['Acme', 2], ['Cup', 1]]));
    }));

  it('shows a pinned product once, on whatever page', () =>
    withFixture(open, async (fixture) => {
      const many = Array.from({ length: 60 }, (_, i) => product({ sku: `p${String(i).padStart(2, '0')}`, name: `Kettle ${'x '.repeat(i % 9)}`, brand: i % 4 === 0 ? 'Acme' : 'Bolt' }));
      await fixture.put(...many);
      const pins = ['p59', 'p03', 'p40', 'p11', 'p12'];
      const found = await pages(fixture, { ...query([pinned(...pins), rule('4', 'bury', { brand: 'Acme' }), rule('5', 'boost', { skus: ['p20', 'p21'] })]), limit: 3 });
      expect(found.slice(0, 5)).toEqual(pins);
      expect(found.toSorted()).toEqual(many.map(({ sku }) => sku));
    }));

  it('ends cursors when a rule or synonym that applies has changed', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...SHELF);
      const { next = '' } = await search({ ...query([pinned('l1')]), limit: 1 });
      expect(skusOf((await search({ ...query([pinned('l1')]), limit: 1, cursor: next })).hits)).toEqual(['k1']);
      const changed = [{ ...query([pinned('k3')]), cursor: next }, { ...query([]), cursor: next }, { ...query([pinned('l1')]), expansions: [{ rule: 's', words: ['kettle'], alternatives: [['lamp']] }], cursor: next }];
      for (const foreign of changed) await expect(search(foreign)).rejects.toBeInstanceOf(InvalidCursorError);
      const { next: plain = '' } = await search({ q: 'kettle', limit: 1 });
      expect(skusOf((await search({ ...query([]), limit: 1, cursor: plain })).hits)).toEqual(['k2']);
    }));
}

function describeExplanations(open: OpenSearchAdapter): void {
  it.each<{ q: string; didYouMean: string | undefined }>([
    { q: 'headphnes', didYouMean: 'headphones' },
    { q: '  Wirelss  "HEADPHNES", please!', didYouMean: 'Wireless  "HEADPHONES", please!' },
    { q: 'điện thoạii', didYouMean: 'điện thoại' },
    { q: 'dien thoaii', didYouMean: 'dien thoai' },
    { q: 'ddieenj thoaij', didYouMean: 'điện thoại' },
    { q: 'headphones', didYouMean: undefined },
    { q: 'xyzzy headphones', didYouMean: undefined },
    { q: '', didYouMean: undefined },
  ])('says what it read $q as', ({ q, didYouMean }) =>
    withFixture(open, async ({ put, search, skus }) => {
      await put(product({ sku: 'a', name: 'Wireless headphones' }), product({ sku: 'b', name: 'Điện thoại' }));
      const answer = await search({ q });
      expect(answer.didYouMean).toBe(didYouMean);
      if (didYouMean !== undefined) expect(await skus({ q: didYouMean })).toEqual(skusOf(answer.hits));
    }));

  it('says of each hit why it is there, in plain words', () =>
    withFixture(open, async ({ put, search }) => {
      await put(...PHONES, product({ sku: 'both', name: 'Headphones', description: 'for a phone', mpn: 'HP-2000' }), product({ sku: 'dt', name: 'Điện thoại đỏ' }));
      const why = async (query: Partial<SearchQuery>): Promise<Record<string, readonly string[] | undefined>> =>
        Object.fromEntries((await search({ ...query, explain: true })).hits.map(({ product: { sku }, explanation }) => [sku, explanation]));
      expect(await why(withSynonyms({ q: 'red phone' }))).toMatchObject({
        phone: ['the name has all words'], smart: ['the name has all words', '“phone” was found as “smartphone” (synonym)'], lamp: ['has 1 of 2 words: “red”'],
      });
      expect(await why({ q: 'headphnes phone' })).toMatchObject({ both: ['has all words, in its name and description', '“headphnes” was read as “headphones”'] });
      expect(await why({ q: 'HP2000' })).toEqual({ both: ['its sku, mpn or ean is what was asked'] });
      expect(await why({ q: 'both' })).toMatchObject({ both: ['its sku is what was asked', 'the sku has the word'] });
      expect(await why({ q: 'điện' })).toEqual({ dt: ['the name has the word', 'written with the same marks: “điện”'] });
      expect(await why({ q: 'ddieenj' })).toEqual({ dt: ['the name has the word', '“ddieenj” was read as “điện”', 'written with the same marks: “điện”'] });
      const merchandising = { pins: [{ rule: '12', sku: 'lamp' }], hides: [], boosts: [{ rule: '3', type: 'boost' as const, select: { skus: ['phone'] } }, { rule: '4', type: 'bury' as const, select: { skus: ['cell'] } }] };
      expect(await why({ q: 'phone', merchandising })).toMatchObject({
        lamp: ['pinned by rule 12'], phone: ['boosted by rule 3', 'its sku is what was asked', 'the name and sku have the word'], cell: ['buried by rule 4', 'the name has the word'],
      });
      expect((await why({ q: 'lamp', sort: 'price_asc' }))['lamp']).toEqual(['its sku is what was asked', 'the name and sku have the word', 'sorted by price, lowest first']);
      expect((await why({}))['lamp']).toEqual(['newest first']);
      expect((await search({ q: 'lamp' })).hits[0]).not.toHaveProperty('explanation');
    }));
}

export function describeRelevance(open: OpenSearchAdapter): void {
  describeSynonyms(open);
  describeMerchandising(open);
  describeExplanations(open);
}
