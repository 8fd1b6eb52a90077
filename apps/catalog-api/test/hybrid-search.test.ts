import { describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import { modelId, serializeModel, unfittedModel } from '@millrace/embedding';
import { InvalidCursorError } from '@millrace/search';
import type { Merchandising, SearchQuery } from '@millrace/search';
import { createLogger } from '@millrace/service';
import type { SimilarHit } from '@millrace/vectors';
import { createQueryEmbedder } from '../src/embed-query.ts';
import { fuseRanks } from '../src/fuse-ranks.ts';
import { createHybridSearch, isFusable } from '../src/hybrid-search.ts';
import type { HybridPorts } from '../src/hybrid-search.ts';

const none: Merchandising = { pins: [], hides: [], boosts: [] };
const query = (over: Partial<SearchQuery> & { merchandising?: Merchandising } = {}) => ({ q: 'lamp', currency: 'USD', sort: 'relevance' as const, limit: 10, merchandising: none, ...over });
const productOf = (sku: string, over: Partial<Product> = {}): Product => ({ ...productExample, status: 'active', sku, ...over });
const model = unfittedModel({ dimensions: 384 });

interface World { words: string[]; vectors: (string | [sku: string, score: number])[]; products?: Record<string, Partial<Product>>; vectorsAreDown?: boolean; catalogueIsDown?: boolean; total?: number }

/** An index that finds `words`, a store whose nearest are `vectors`, and a catalogue of all of them. */
function open(world: World) {
  const asked: { words: SearchQuery[]; vectors: object[] } = { words: [], vectors: [] };
  const one = (sku: string): Product => productOf(sku, world.products?.[sku]);
  const hits = (): SimilarHit[] => world.vectors.map((entry, index) => (typeof entry === 'string' ? [entry, 0.9 - index / 1_000] as const : entry)).map(([sku, score]) => {
    const { name, category, brand, merchant_id, price_minor, currency, image_url } = one(sku);
    return { sku, score, payload: { name, category, brand, merchant_id, price_minor, currency, in_stock: true, image_url }, embeddedAt: '' };
  });
  const reading = { model: async () => ({ id: modelId(model), dimensions: 384, document: serializeModel(model) }) };
  const ports: HybridPorts = {
    embedQuery: createQueryEmbedder({ vectors: reading, openRemote: async () => { throw new Error('TF-IDF only'); }, cacheSize: 10, remoteNoise: 0 }),
    search: { search: async (wanted) => {
      asked.words.push(wanted);
      return { hits: world.words.map((sku, index) => ({ product: one(sku), score: 100 - index, highlights: { name: 'h' }, ...(wanted.explain === true && { explanation: ['by words'] }) })), total: world.total ?? world.words.length, facets: { category: [], brand: [], merchant: [], price: [] }, next: 'lexical' };
    } },
    vectors: {
      nearest: async (_vector, wanted) => {
        asked.vectors.push(wanted);
        if (world.vectorsAreDown === true) throw new Error('down');
        return hits();
      },
    },
    findProducts: async (skus) => {
      if (world.catalogueIsDown === true) throw new Error('down');
      return new Map(skus.filter((sku) => sku !== 'deleted').map((sku) => [sku, one(sku)]));
    },
    logger: createLogger('test', 'silent'),
  };
  const search = createHybridSearch(ports);
  const skus = async (over: Parameters<typeof query>[0] = {}): Promise<string[]> => (await search(query(over))).hits.map(({ product }) => product.sku);
  return { search, skus, asked };
}

describe('reciprocal rank fusion', () => {
  it('adds 1 / (60 + rank) over the lists', () => {
    expect(fuseRanks([['a', 'b'], ['b', 'c']])).toEqual([
      { sku: 'b', score: 1 / 62 + 1 / 61, ranks: [2, 1] }, { sku: 'a', score: 1 / 61, ranks: [1, undefined] }, { sku: 'c', score: 1 / 62, ranks: [undefined, 2] },
    ]);
  });
  it('orders equal scores by sku, whatever the order of the lists', () => {
    expect(fuseRanks([['z'], ['a']]).map(({ sku }) => sku)).toEqual(['a', 'z']);
    expect(fuseRanks([]).length + fuseRanks([[], []]).length).toBe(0);
  });
});

describe('a search', () => {
  it.each([
    [{}, true], [{ q: ' ' }, false], [{ q: undefined }, false], [{ sort: 'newest' as const }, false],
  ])('with %j is fused: %p', (over, expected) => {
    const { q, ...rest } = query();
    expect(isFusable({ ...rest, ...('q' in over ? (over.q === undefined ? {} : { q: over.q }) : { q }), ...('sort' in over && { sort: over.sort }) })).toBe(expected);
  });
});

describe('hybrid search', () => {
  it('ranks what words and vectors agree on first, and adds what only the vectors found', async () => {
    const { search, asked } = open({ words: ['a', 'b', 'c'], vectors: ['c', 'x'], total: 3 });
    const answer = await search(query());
    expect(answer.hits.map(({ product, highlights }) => [product.sku, highlights])).toEqual([['c', { name: 'h' }], ['a', { name: 'h' }], ['b', { name: 'h' }], ['x', {}]]);
    expect(answer).toMatchObject({ hybrid: true, total: 4 });
    expect(answer).not.toHaveProperty('next');
    expect(asked.words).toMatchObject([{ limit: 200 }]);
  });
  it('is the answer of the words while the vectors do not answer, know no model, or know none of the words', async () => {
    const { search } = open({ words: ['a', 'b'], vectors: ['x'], vectorsAreDown: true });
    expect(await search(query())).toMatchObject({ hybrid: false, degraded: true, total: 2, hits: [{ product: { sku: 'a' } }, { product: { sku: 'b' } }] });
    expect(await open({ words: ['a'], vectors: ['x'] }).search(query({ q: '!' }))).toMatchObject({ hybrid: false, degraded: false, total: 1 });
  });
  it('ranks what the index has while the catalogue cannot be asked for what only the vectors found', async () => {
    const { search } = open({ words: ['a', 'b'], vectors: ['b', 'x'], catalogueIsDown: true });
    const answer = await search(query());
    expect([answer.hits.map(({ product }) => product.sku), answer.total]).toEqual([['b', 'a'], 2]);
  });
  it('leaves out neighbours that are no nearer than unrelated texts', async () => {
    expect(await open({ words: ['a'], vectors: [['near', 0.2], ['noise', 0.15]] }).skus()).toEqual(['a', 'near']);
  });
  it.each([
    { name: 'category', over: { category: 'Audio' }, good: { category: 'Audio' }, bad: { category: 'Video' } },
    { name: 'brand', over: { brand: 'b' }, good: { brand: 'b' }, bad: { brand: 'c' } },
    { name: 'merchant', over: { merchantId: 7 }, good: { merchant_id: 7 }, bad: { merchant_id: 8 } },
    { name: 'lowest price', over: { minPriceMinor: 100 }, good: { price_minor: 100 }, bad: { price_minor: 99 } },
    { name: 'highest price', over: { maxPriceMinor: 100 }, good: { price_minor: 100 }, bad: { price_minor: 101 } },
    { name: 'price in its currency', over: { minPriceMinor: 1 }, good: { price_minor: 5 }, bad: { price_minor: 5, currency: 'VND' } },
    { name: 'price', over: { minPriceMinor: 0 }, good: { price_minor: 5 }, bad: { price_minor: null } },
    { name: 'stock', over: { inStock: true }, good: { stock: null }, bad: { stock: 0 } },
    { name: 'no stock', over: { inStock: false }, good: { stock: 0 }, bad: { stock: null } },
    { name: 'status', over: {}, good: {}, bad: { status: 'draft' as const } },
    { name: 'hidden brand', over: { merchandising: { ...none, hides: [{ rule: '1', select: { brand: 'b' } }] } }, good: { brand: 'c' }, bad: { brand: 'b' } },
  ])('shows no neighbour that the filters leave out: $name', async ({ over, good, bad }) => {
    const { skus, asked } = open({ words: ['a'], vectors: ['bad', 'good', 'deleted'], products: { good, bad } });
    expect(await skus(over)).toEqual(['a', 'good']);
    expect(asked.vectors).toMatchObject([{ ...('category' in over && { category: 'Audio' }), ...('brand' in over && { brand: 'b' }) }]);
  });
  it('leads with the pins in their order, once, and ranks what is buried by its words alone', async () => {
    const merchandising: Merchandising = { pins: [{ rule: '1', sku: 'p2' }, { rule: '1', sku: 'p1' }, { rule: '1', sku: 'filtered' }], hides: [], boosts: [{ rule: '2', type: 'bury', select: { skus: ['low'] } }] };
    expect(await open({ words: ['p2', 'p1', 'a', 'b', 'low'], vectors: ['low', 'p1', 'b'] }).skus({ merchandising })).toEqual(['p2', 'p1', 'b', 'a', 'low']);
  });
  it('explains each hit by both ranks, after what the index says', async () => {
    const { search } = open({ words: ['a'], vectors: ['x'] });
    const { hits } = await search(query({ explain: true }));
    expect(hits.map(({ explanation }) => explanation)).toEqual([
      ['by words', 'number 1 by words', 'not among the 200 nearest by vector', 'both ranks give the score 0.016393 (reciprocal rank fusion)'],
      ['not among the first 200 by words', 'number 1 by vector (similarity 0.90)', 'both ranks give the score 0.016393 (reciprocal rank fusion)'],
    ]);
    expect((await search(query())).hits[0]).not.toHaveProperty('explanation');
  });
});

describe('pages of a hybrid search', () => {
  const many = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `s${String(from + n).padStart(3, '0')}`);
  async function readAll(search: ReturnType<typeof open>['search'], limit: number): Promise<string[]> {
    const seen: string[] = [];
    for (let cursor: string | undefined, page = 0; page < 300; page += 1) {
      const answer = await search(query({ limit, ...(cursor !== undefined && { cursor }) }));
      seen.push(...answer.hits.map(({ product }) => product.sku));
      if (answer.next === undefined) return seen;
      cursor = answer.next;
    }
    throw new Error('it never ends');
  }
  it.each([1, 7, 100, 200])('of %d hold every product of the fused list once, and end at 200', async (limit) => {
    const { search, skus } = open({ words: many(0, 150), vectors: many(100, 300) });
    const all = await readAll(search, limit);
    expect([all.length, new Set(all).size]).toEqual([200, 200]);
    expect(all).toEqual(await skus({ limit: 200 }));
  });
  it('go on behind the last product that was shown, when products came and went before it', async () => {
    const world = { words: ['a', 'b', 'c', 'd'], vectors: ['a'] };
    const { search, skus } = open(world);
    const { next } = await search(query({ limit: 2 }));
    world.words = ['new', 'b', 'c', 'd'];
    expect(await skus({ limit: 2, cursor: next ?? '' })).toEqual(['c', 'd']);
  });
  it('go on at the old place where the last product that was shown is gone', async () => {
    const world = { words: ['a', 'b', 'c', 'd'], vectors: ['a'] };
    const { search, skus } = open(world);
    const { next } = await search(query({ limit: 2 }));
    world.words = ['a', 'c', 'd'];
    expect(await skus({ limit: 2, cursor: next ?? '' })).toEqual(['d']);
  });
  it('go on while the vectors have gone away', async () => {
    const world: World = { words: ['a', 'b', 'c'], vectors: ['c'] };
    const { search, skus } = open(world);
    const { next } = await search(query({ limit: 1 }));
    world.vectorsAreDown = true;
    expect(await skus({ cursor: next ?? '' })).toEqual([]);
    world.words = ['c', 'a', 'b'];
    expect(await skus({ cursor: next ?? '' })).toEqual(['a', 'b']);
  });
  it('end when the synonyms or rules for the query change: a product that is pinned meanwhile would never be shown', async () => {
    const { search } = open({ words: ['a', 'b', 'c'], vectors: [] });
    const { next } = await search(query({ limit: 1 }));
    const merchandising: Merchandising = { ...none, pins: [{ rule: '1', sku: 'c' }] };
    const expansions = [{ rule: '2', words: ['lamp'], alternatives: [['light']] }];
    for (const over of [{ merchandising }, { expansions }]) await expect(search(query({ ...over, cursor: next ?? '' }))).rejects.toThrow(InvalidCursorError);
    expect((await search(query({ cursor: next ?? '' }))).hits).toHaveLength(2);
  });
  it('refuse a cursor of another query, of the words alone, and rubbish', async () => {
    const { search } = open({ words: ['a', 'b'], vectors: [] });
    const { next } = await search(query({ limit: 1 }));
    for (const over of [{ q: 'desk', cursor: next ?? '' }, { inStock: true, cursor: next ?? '' }, { cursor: 'lexical' }, { cursor: Buffer.from('[1,"x",2,"a",1]').toString('base64url') }, { cursor: '' }]) {
      await expect(search(query(over))).rejects.toThrow(InvalidCursorError);
    }
  });
});
