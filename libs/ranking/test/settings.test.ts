import { describe, expect, it } from '@jest/globals';
import { CONTEXT_WEIGHTS, EMPTY_HISTORY, NO_CONTEXT, recommend, VARIETY } from '../src/index.ts';
import type { RecommendInput } from '../src/index.ts';
import { catalogue, NOW, shop } from './kit.ts';

const find = catalogue('a/Audio', 'b/Audio', 'c/Video', 'd/Video');
const all = shop(find);
for (const user of ['x', 'y']) all.basket(user, ['a', 'b']);
all.act('z', 'view', 'c', NOW);
const input = (over: Partial<RecommendInput> = {}): RecommendInput => ({
  counts: all.counts, find, history: all.history('x'), recent: { items: ['c'], purchases: ['d'], categories: new Map([['Video', 1]]) }, similar: new Map([['b', 0.9]]), newest: ['d', 'c', 'b', 'a'], nowMs: NOW, limit: 4, ...over,
});
const skusOf = (over: Partial<RecommendInput>): string[] => recommend(input(over)).map(({ item }) => item.sku);

describe('settings of a ranking', () => {
  it('that say what is so anyway change nothing', () => {
    expect(recommend(input({ context: CONTEXT_WEIGHTS, variety: VARIETY, personalize: true }))).toEqual(recommend(input()));
  });
  it('can give everybody the list of a stranger, without what was just bought', () => {
    const { history, recent, ...stranger } = input();
    const wanted = recommend({ ...stranger, history: EMPTY_HISTORY, recent: NO_CONTEXT, similar: new Map() }).filter(({ item }) => item.sku !== 'd');
    expect([history.bought.length, recent.items.length]).toEqual([2, 1]);
    expect(recommend(input({ personalize: false }))).toEqual(wanted);
    expect(skusOf({ personalize: false, excludeSeen: true })).toEqual([]);
  });
  it('can turn off what the live context does', () => {
    const factors = recommend(input({ history: EMPTY_HISTORY, context: { categoryBoost: 0, seenPenalty: 0, priceFloor: 1 } })).map((one) => one.factors);
    expect(factors.length).toBeGreaterThan(0);
    for (const one of factors) expect(one).toEqual({ category: 1, seen: 1, price: 1 });
  });
});
