import { describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import { InvalidCursorError } from '@millrace/search';
import type { Merchandising, SearchQuery } from '@millrace/search';
import { createPersonalSearch } from '../src/personal-search.ts';
import type { RerankForUser } from '../src/personal-search.ts';

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `p${String(n).padStart(3, '0')}`);
const query = (over: Partial<SearchQuery> = {}): SearchQuery => ({ q: 'lamp', currency: 'USD', sort: 'relevance', limit: 10, ...over });
const options = { hybrid: false, degraded: false, userId: 'u' };

/** An index with these products in this order, paged by place, and a recommender that turns lists round. */
function open({ skus = numbered(250), products = {}, merchandising = { pins: [], hides: [], boosts: [] } }: { skus?: string[]; products?: Record<string, Partial<Product>>; merchandising?: Merchandising } = {}) {
  const asked: (readonly { sku: string; score: number }[])[] = [];
  const world = { skus, rerank: (async (_user, items) => ({ skus: items.map(({ sku }) => sku).toReversed(), rankingId: '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10' })) as RerankForUser };
  const search = createPersonalSearch({
    relevance: { forQuery: () => ({ expansions: [], merchandising }) },
    rerank: (user, items) => {
      asked.push(items);
      return world.rerank(user, items);
    },
    search: async ({ cursor, limit }) => {
      const start = cursor === undefined ? 0 : world.skus.indexOf(cursor) + 1;
      const found = world.skus.slice(start, start + limit);
      const last = found.at(-1);
      const hits = found.map((sku) => ({ product: { ...productExample, sku, ...products[sku] }, score: 1, highlights: {} }));
      return { hits, total: world.skus.length, facets: { category: [], brand: [], merchant: [], price: [] }, hybrid: false, degraded: false, ...(last !== undefined && start + limit < world.skus.length && { next: last }) };
    },
  });
  const skusOf = async (over: Partial<SearchQuery> = {}, who = options): Promise<string[]> => (await search(query(over), who)).hits.map(({ product }) => product.sku);
  const walk = async (limit: number, between: (page: number) => void = () => undefined): Promise<string[]> => {
    const shown: string[] = [];
    let cursor: string | undefined;
    for (let page = 1; page <= 300; page += 1) {
      const answer = await search(query({ limit, ...(cursor !== undefined && { cursor }) }), options);
      expect(answer.total).toBe(world.skus.length);
      shown.push(...answer.hits.map(({ product }) => product.sku));
      if (answer.next === undefined) return shown;
      cursor = answer.next;
      between(page);
    }
    throw new Error('the pages do not end');
  };
  return { world, search, skusOf, walk, asked };
}

describe('a personalised search', () => {
  it('re-ranks the first hundred and leaves what is behind them, on pages of every size', async () => {
    const wanted = [...numbered(100).toReversed(), ...numbered(250).slice(100)];
    for (const limit of [1, 7, 30, 100]) expect(await open().walk(limit)).toEqual(wanted);
    expect(await open({ skus: numbered(100) }).walk(100)).toEqual(numbered(100).toReversed());
    expect(await open({ skus: [] }).walk(10)).toEqual([]);
  });
  it('keeps the order of its first page, whatever the user does between pages, and asks once', async () => {
    const { walk, world, asked } = open();
    const shown = await walk(30, () => { world.rerank = async () => ({ reason: 'unavailable' }); });
    expect([shown.length, new Set(shown).size, asked.length]).toEqual([250, 250, 1]);
    expect(shown.slice(0, 100)).toEqual(numbered(100).toReversed());
  });
  it('shows nothing twice and skips nothing where the index changes between pages', async () => {
    const { walk, world } = open({ skus: numbered(40) });
    const shown = await walk(10, (page) => { world.skus = page === 1 ? ['new', ...world.skus.filter((sku) => sku !== 'p005')] : world.skus; });
    expect(new Set(shown).size).toBe(shown.length);
    expect(shown.toSorted()).toEqual(['new', ...numbered(40).filter((sku) => sku !== 'p005')].toSorted());
  });
  it('leaves pins and what was asked for by its number in front, what is buried behind, and drops nothing', async () => {
    const { skusOf, world } = open({
      skus: ['pin', 'Lamp', 'ean', 'a', 'b', 'c', 'buried'], products: { ean: { ean: ['12345678'] }, buried: { brand: 'Bad' } },
      merchandising: { pins: [{ rule: '1', sku: 'pin' }], hides: [], boosts: [{ rule: '2', type: 'bury', select: { brand: 'Bad' } }] },
    });
    expect(await skusOf()).toEqual(['pin', 'Lamp', 'c', 'b', 'a', 'ean', 'buried']);
    expect(await skusOf({ q: '12345678' })).toEqual(['pin', 'ean', 'c', 'b', 'a', 'Lamp', 'buried']);
    world.rerank = async () => ({ skus: ['b'], rankingId: '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10' });
    expect(await skusOf()).toEqual(['pin', 'Lamp', 'b', 'ean', 'a', 'c', 'buried']);
  });
  it('says why where it could not, and pages on as it began', async () => {
    const { search, world, asked } = open();
    world.rerank = async () => ({ reason: 'timeout' });
    const first = await search(query(), options);
    expect(first).toMatchObject({ personalized: false, personalized_reason: 'timeout', ranking_id: null });
    world.rerank = async (_user, items) => ({ skus: items.map(({ sku }) => sku).toReversed(), rankingId: '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10' });
    const second = await search(query({ cursor: first.next ?? '' }), options);
    expect([second.personalized_reason, second.hits[0]?.product.sku, asked.length]).toEqual(['timeout', 'p010', 1]);
    expect(await search(query({ sort: 'newest' }), options)).toMatchObject({ personalized: false, personalized_reason: 'sort' });
  });
  it.each([
    ['of another user', {}, { ...options, userId: 'v' }], ['of another query', { q: 'desk' }, options], ['of another mode', {}, { ...options, hybrid: true }],
  ])('refuses a cursor %s', async (_name, over, who) => {
    const { search } = open();
    const { next } = await search(query(), options);
    await expect(search(query({ cursor: next ?? '', ...over }), who)).rejects.toThrow(InvalidCursorError);
  });
  it.each(['', 'x', 'e30', 'eyJoeWJyaWQiOiJ4IiwiYXQiOjEsInNrdSI6ImEifQ'])('refuses the cursor %j', async (cursor) => {
    await expect(open().search(query({ cursor }), options)).rejects.toThrow(InvalidCursorError);
  });
  it('explains where a product would have been', async () => {
    const [first] = (await open({ skus: ['a', 'b'] }).search(query({ explain: true }), options)).hits;
    expect(first?.explanation).toEqual(['number 1 of those that may move; number 2 without this user, by relevance alone']);
  });
});
