import { expect, it } from '@jest/globals';
import { mustEnd } from '@millrace/testing/must-end';
import { compileRelevance } from '../src/index.ts';
import type { MerchandisingRule, SynonymRule } from '../src/index.ts';

const NOW = new Date('2026-11-20T12:00:00Z');

const SYNONYMS: SynonymRule[] = [
  { id: 's1', kind: 'equivalent', terms: ['phone', 'smartphone', 'cell phone'] },
  { id: 's2', kind: 'one_way', terms: ['iphone'], means: ['phone'] },
  { id: 's3', kind: 'equivalent', terms: ['TV', 'television', 'flat screen'] },
  { id: 's4', kind: 'equivalent', terms: ['đường', 'sugar'] },
  { id: 's5', kind: 'equivalent', terms: ['điện thoại', 'dt', 'di động'] },
  { id: 's6', kind: 'equivalent', terms: ['cup', 'cups', '***', 'Cup'] },
];

it.each<{ q: string; expansions: [string, string, string[]][] }>([
  { q: 'phone', expansions: [['s1', 'phone', ['smartphone', 'cell phone']]] },
  { q: 'Smartphones', expansions: [['s1', 'smartphones', ['phone', 'cell phone']]] },
  { q: 'cell phones for my mother', expansions: [['s1', 'cell phones', ['phone', 'smartphone']], ['s1', 'phones', ['smartphone', 'cell phone']]] },
  { q: 'phone cell', expansions: [['s1', 'phone', ['smartphone', 'cell phone']]] },
  { q: 'iphone', expansions: [['s2', 'iphone', ['phone']]] },
  { q: 'phone phone', expansions: [['s1', 'phone', ['smartphone', 'cell phone']]] },
  { q: 'flat screen tv', expansions: [['s3', 'flat screen', ['tv', 'television']], ['s3', 'tv', ['television', 'flat screen']]] },
  { q: 'flat tv screen', expansions: [['s3', 'tv', ['television', 'flat screen']]] },
  { q: 'duong', expansions: [['s4', 'duong', ['sugar']]] },
  { q: 'ĐƯỜNG', expansions: [['s4', 'duong', ['sugar']]] },
  { q: 'dương', expansions: [] },
  { q: 'dien thoai cu', expansions: [['s5', 'dien thoai', ['dt', 'di dong']]] },
  { q: 'cups', expansions: [] },
  { q: '', expansions: [] },
  { q: '***', expansions: [] },
])('expands $q', ({ q, expansions }) => {
  const found = compileRelevance({ synonyms: SYNONYMS, rules: [] }).forQuery({ q }, NOW).expansions;
  expect(found.map(({ rule, words, alternatives }) => [rule, words.join(' '), alternatives.map((alternative) => alternative.join(' '))])).toEqual(expansions);
});

const pin = (id: string, fields: Partial<MerchandisingRule>): MerchandisingRule => ({ id, action: { type: 'pin', skus: [id] }, ...fields });
const RULES: MerchandisingRule[] = [
  pin('phones', { query: 'Red phones' }),
  pin('tv', { query: 'the television' }),
  pin('sugar', { query: 'đường' }),
  pin('audio', { category: 'Audio' }),
  pin('audio-lamp', { category: 'Audio', query: 'lamp' }),
  pin('sale', { query: 'sale', from: '2026-11-20T12:00:00Z', until: '2026-11-21T00:00:00+07:00' }),
  pin('never', { query: 'sale', from: 'soon' }),
  pin('signs', { query: '+++' }),
];

it.each<{ name: string; q?: string; category?: string; now?: string; pins: string[] }>([
  { name: 'the same words in any order, plural or singular', q: 'PHONE red', pins: ['phones'] },
  { name: 'a synonym of one of its words', q: 'red smartphones', pins: ['phones'] },
  { name: 'a synonym of several words', q: 'cell phone, red', pins: ['phones'] },
  { name: 'a word that means one of its words one way', q: 'red iphone', pins: ['phones'] },
  { name: 'other words than its own', q: 'red phone case', pins: [] },
  { name: 'some of its words', q: 'phone', pins: [] },
  { name: 'stop words', q: 'a tv', pins: ['tv'] },
  { name: 'words without marks', q: 'duong', pins: ['sugar'] },
  { name: 'the same marks', q: 'Đường', pins: ['sugar'] },
  { name: 'other marks', q: 'dương', pins: [] },
  { name: 'its category', category: 'Audio', pins: ['audio'] },
  { name: 'its category with words, where the rule has none', q: 'kettle', category: 'Audio', pins: [] },
  { name: 'its words in its category', q: 'lamps', category: 'Audio', pins: ['audio-lamp'] },
  { name: 'its words in another category', q: 'lamps', category: 'Video', pins: [] },
  { name: 'its words in a category of the search', q: 'red phone', category: 'Video', pins: ['phones'] },
  { name: 'the first moment of its period', q: 'sale', now: '2026-11-20T12:00:00.000Z', pins: ['sale'] },
  { name: 'the moment before it', q: 'sale', now: '2026-11-20T11:59:59.999Z', pins: [] },
  { name: 'the last moment of its period', q: 'sale', now: '2026-11-20T16:59:59.999Z', pins: ['sale'] },
  { name: 'the moment at which it ends', q: 'sale', now: '2026-11-20T17:00:00.000Z', pins: [] },
  { name: 'signs alone', q: '+++', pins: [] },
  { name: 'nothing', pins: [] },
])('finds the rules for $name', ({ name, pins, now, ...query }) => {
  const relevance = compileRelevance({ synonyms: SYNONYMS, rules: RULES });
  expect({ name, pins: relevance.forQuery(query, now === undefined ? NOW : new Date(now)).merchandising.pins.map(({ sku }) => sku) }).toEqual({ name, pins });
});

it('keeps the order of the rules, pins a sku once, and takes no selector for everything', () => {
  const query = 'lamp';
  const rules: MerchandisingRule[] = [
    { id: '1', query, action: { type: 'pin', skus: ['a', 'b', 'a'] } },
    { id: '2', query, category: 'Light', action: { type: 'pin', skus: ['c', 'a'] } },
    { id: '3', query, action: { type: 'boost', select: { brand: 'Acme' } } },
    { id: '4', query, action: { type: 'bury', select: {} } },
    { id: '5', query, action: { type: 'hide', select: { skus: [], category: 'Light' } } },
    { id: '6', category: 'Light', action: { type: 'hide', select: { skus: ['x'] } } },
    { id: '7', query, action: { type: 'bury', select: { category: 'Old' } } },
  ];
  expect(compileRelevance({ synonyms: [], rules }).forQuery({ q: query, category: 'Light' }, NOW).merchandising).toEqual({
    pins: [{ rule: '1', sku: 'a' }, { rule: '1', sku: 'b' }, { rule: '2', sku: 'c' }],
    hides: [{ rule: '6', select: { skus: ['x'] } }],
    boosts: [{ rule: '3', type: 'boost', select: { brand: 'Acme' } }, { rule: '7', type: 'bury', select: { category: 'Old' } }],
  });
});

it('expands at most 16 phrases of a query, each by at most 20 alternatives', () => {
  const synonyms = Array.from({ length: 30 }, (_, i): SynonymRule => ({ id: `s${i}`, kind: 'equivalent', terms: [`w${i}`, ...Array.from({ length: 30 }, (__, j) => `w${i} x${j}`)] }));
  const { expansions } = compileRelevance({ synonyms, rules: RULES }).forQuery({ q: Array.from({ length: 500 }, (_, i) => `w${i % 24}`).join(' ') }, NOW);
  expect(expansions).toHaveLength(16);
  expect(Math.max(...expansions.map(({ alternatives }) => alternatives.length))).toBe(20);
});

it('does not compare a query with every phrase that begins with one of its words', () => {
  const synonyms = Array.from({ length: 2_000 }, (_, n): SynonymRule => ({ id: String(n), kind: 'one_way', terms: Array.from({ length: 20 }, (_one, at) => `may so${n}x${at}`), means: ['lamp'] }));
  const relevance = compileRelevance({ synonyms, rules: [] });
  const q = `${'may '.repeat(46)} so7x3`;
  expect(relevance.forQuery({ q }, NOW).expansions).toMatchObject([{ rule: '7', words: ['may', 'so7x3'] }]);
  // 40,000 phrases at 46 places: compared with each, so many queries take ten minutes and more.
  const ask = (): void => {
    for (let n = 0; n < 1_000; n += 1) relevance.forQuery({ q }, NOW);
  };
  expect(() => mustEnd(ask)).not.toThrow();
});
it('pins at most 100 products, the first rules first', () => {
  const rules = Array.from({ length: 40 }, (_, n): MerchandisingRule => ({ id: String(n), query: 'lamp', action: { type: 'pin', skus: Array.from({ length: 50 }, (_one, at) => `s${n}-${at}`) } }));
  const { pins } = compileRelevance({ synonyms: [], rules }).forQuery({ q: 'lamp' }, NOW).merchandising;
  expect([pins.length, pins[0], pins.at(-1)]).toEqual([100, { rule: '0', sku: 's0-0' }, { rule: '1', sku: 's1-49' }]);
});
