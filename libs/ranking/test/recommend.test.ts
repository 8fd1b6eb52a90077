import { describe, expect, it } from '@jest/globals';
import { alsoBought, brandCap, EMPTY_HISTORY, NO_CONTEXT, recommend, rerank } from '../src/index.ts';
import type { RecentContext, RecommendInput } from '../src/index.ts';
import { catalogue, DAY, NOW, shop } from './kit.ts';
import type { Shop } from './kit.ts';

const context = (items: string[], categories: Record<string, number> = {}, purchases: string[] = []): RecentContext => ({ items, purchases, categories: new Map(Object.entries(categories)) });

const inputOf = ({ counts }: Shop, over: Partial<RecommendInput>): RecommendInput => ({
  counts, find: catalogue(), history: EMPTY_HISTORY, recent: NO_CONTEXT, similar: new Map(), newest: [], nowMs: NOW, limit: 5, ...over,
});
const skusOf = (input: RecommendInput): string[] => recommend(input).map(({ item }) => item.sku);

describe('the fallback chain', () => {
  const find = catalogue('a/Audio', 'b/Audio', 'c/Video', 'd/Video', 'e/Books');

  it('answers a stranger from the first minute with the newest products', () => {
    expect(recommend(inputOf(shop(), { find, newest: ['e', 'd'] })).map(({ item, stage }) => [item.sku, stage])).toEqual([['e', 'newest'], ['d', 'newest']]);
  });
  it('says of each place which stage filled it', () => {
    const all = shop(find);
    all.basket('x', ['a', 'b']);
    all.act('y', 'view', 'c', NOW);
    const history = { ...EMPTY_HISTORY, ...all.history('x'), bought: all.history('x').bought.filter(({ sku }) => sku === 'a').map((item) => ({ ...item, atMs: 0 })) };
    const stages = recommend(inputOf(all, { find, history, newest: ['e'] })).map(({ item, stage }) => [item.sku, stage]);
    expect(new Map(stages.map(([sku, stage]) => [sku ?? '', stage]))).toEqual(new Map([['a', 'own'], ['b', 'co_buy'], ['c', 'trending'], ['e', 'newest']]));
  });
  it('prefers what trends in the categories that were just looked at', () => {
    const all = shop(find);
    for (const sku of ['a', 'c', 'd']) all.act(`u-${sku}`, 'view', sku, NOW);
    expect(recommend(inputOf(all, { find, recent: context([], { Video: 2 }), limit: 2 })).map(({ stage }) => stage)).toEqual(['trending_in_category', 'trending_in_category']);
  });
  it('is a part of the blend, and never fewer places than there are products', () => {
    const all = shop(find);
    all.act('u', 'view', 'a', NOW);
    expect(skusOf(inputOf(all, { find, history: all.history('u'), recent: context(['a']), newest: ['e', 'd', 'c', 'b', 'a'] })).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('what never appears', () => {
  const find = catalogue('a/Audio', 'b/Audio', 'c/Video');
  const all = shop(find);
  for (const user of ['x', 'y']) all.basket(user, ['a', 'b', 'c', 'hidden']);
  all.act('z', 'view', 'hidden', NOW);
  const everywhere = { find, history: all.history('x'), recent: context(['hidden', 'c'], { Audio: 1 }), similar: new Map([['hidden', 0.9], ['b', 0.8]]), newest: ['hidden', 'a', 'b', 'c'] };

  it.each([
    { name: 'a hidden product, at any stage', over: {}, not: ['hidden'] },
    { name: 'an excluded product, at any stage', over: { exclude: new Set(['b']) }, not: ['hidden', 'b'] },
    { name: 'a product of another category than asked for', over: { category: 'Video' }, not: ['hidden', 'a', 'b'] },
    { name: 'what was seen and bought, with excludeSeen', over: { excludeSeen: true, recent: context(['c']) }, not: ['a', 'b', 'c', 'hidden'] },
  ])('$name', ({ over, not }) => {
    const shown = skusOf(inputOf(all, { ...everywhere, ...over }));
    expect(shown.filter((sku) => not.includes(sku))).toEqual([]);
    expect(new Set(shown).size).toBe(shown.length);
  });
  it('a product that was just bought, unless people buy it again', () => {
    const bought = shop(find);
    for (let at = 0; at < 60; at += 1) {
      bought.basket(`u${at}`, ['a', 'b'], NOW - 60 * DAY);
      bought.basket(`u${at}`, ['b'], NOW - 50 * DAY);
    }
    bought.basket('me', ['a', 'b'], NOW - DAY);
    expect(skusOf(inputOf(bought, { find, history: bought.history('me'), newest: ['a', 'b', 'c'] })).toSorted()).toEqual(['b', 'c']);
    expect(skusOf(inputOf(bought, { find, recent: context(['a'], {}, ['a']), newest: ['a', 'c'] }))).not.toContain('a');
  });
});

describe('the live context', () => {
  const find = catalogue('a/Audio//1000', 'b/Audio//1100', 'c/Video//1000', 'd/Video//1000', 'dear/Audio//90000', 'e/Books//1000');

  it('brings up the category that was just looked at', () => {
    const all = shop(find);
    all.basket('x', ['e', 'c', 'a']);
    const input = inputOf(all, { find, history: { ...all.history('x'), bought: all.history('x').bought.filter(({ sku }) => sku === 'e').map((item) => ({ ...item, atMs: 0 })) }, exclude: new Set(['e']) });
    expect(skusOf({ ...input, recent: context([], { Video: 3 }) })[0]).toBe('c');
    expect(skusOf({ ...input, recent: context([], { Audio: 3 }) })[0]).toBe('a');
  });
  it('ranks down what was just seen', () => {
    const list = { counts: shop().counts, find, history: EMPTY_HISTORY, nowMs: NOW, limit: 5, items: [{ sku: 'a', score: 1 }, { sku: 'b', score: 0.9 }] };
    expect(rerank({ ...list, recent: NO_CONTEXT }).map(({ sku }) => sku)).toEqual(['a', 'b']);
    expect(rerank({ ...list, recent: context(['a']) }).map(({ sku }) => sku)).toEqual(['b', 'a']);
  });
  it('ranks down a price far from what is looked at', () => {
    const items = [{ sku: 'dear', score: 1 }, { sku: 'e', score: 0.9 }];
    const recent = context(['a', 'b', 'c']);
    expect(rerank({ counts: shop().counts, find, history: EMPTY_HISTORY, recent, nowMs: NOW, limit: 5, items }).map(({ sku }) => sku)).toEqual(['e', 'dear']);
  });
  it('reranks a list with negative scores, unknown and repeated products without surprises', () => {
    const items = [{ sku: 'a', score: -1 }, { sku: 'nowhere', score: 5 }, { sku: 'c', score: -3 }, { sku: 'a', score: 9 }];
    expect(rerank({ counts: shop().counts, find, history: EMPTY_HISTORY, recent: NO_CONTEXT, nowMs: NOW, limit: 5, items }).map(({ sku, given }) => [sku, given])).toEqual([['a', -1], ['c', -3]]);
  });
});

describe('variety', () => {
  it('gives no brand more than its cap while others are left, and fills the rest with it', () => {
    const skus = Array.from({ length: 12 }, (_none, at) => `s${at}`);
    const find = catalogue(...skus.map((sku, at) => `${sku}//${at < 9 ? 'Big' : `Small ${at}`}`));
    const shown = recommend(inputOf(shop(), { find, newest: skus, limit: 5 }));
    expect(shown.filter(({ item }) => item.brand === 'Big')).toHaveLength(brandCap(5));
    const only = recommend(inputOf(shop(), { find, newest: skus.slice(0, 9), limit: 5 }));
    expect(only).toHaveLength(5);
    expect(only.map(({ stage }) => stage)).toEqual(['newest', 'newest', 'relaxed', 'relaxed', 'relaxed']);
  });
});

describe('an explanation', () => {
  it('has parts that give the score', () => {
    const find = catalogue('a/Audio/X/1000', 'b/Audio/Y/1000', 'c/Video/Z/1000');
    const all = shop(find);
    for (const user of ['x', 'y']) all.basket(user, ['a', 'b', 'c']);
    const shown = recommend(inputOf(all, { find, history: all.history('x'), recent: context(['b'], { Audio: 2 }) }));
    expect(shown.length).toBeGreaterThan(0);
    for (const { score, parts, factors } of shown.filter((one) => one.parts)) {
      const sum = Object.values(parts ?? {}).reduce((total, part) => total + part, 0);
      expect(score).toBeCloseTo(sum * factors.category * factors.seen * factors.price, 12);
    }
  });
});

describe('also bought', () => {
  it('lists what is bought together, then looked at together, alike, trending in the category, without hidden products', () => {
    const find = catalogue('a/Audio', 'bought', 'viewed', 'alike', 'trend/Audio');
    const all = shop(find);
    all.basket('x', ['a', 'bought', 'hidden']);
    all.act('y', 'view', 'a', NOW);
    all.act('y', 'view', 'viewed', NOW);
    all.act('z', 'view', 'trend', NOW);
    const item = find('a') ?? { sku: 'a', category: null, brand: null, priceMinor: null, currency: 'USD' };
    expect(alsoBought({ counts: all.counts, find, item, similar: new Map([['alike', 0.5], ['hidden', 0.9]]), limit: 10 }).map((one) => [one.item.sku, one.stage])).toEqual([
      ['bought', 'co_buy'], ['viewed', 'co_view'], ['alike', 'similar'], ['trend', 'trending_in_category'],
    ]);
  });
});
