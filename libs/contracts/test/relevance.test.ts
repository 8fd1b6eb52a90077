import { describe, expect, it } from '@jest/globals';
import { RELEVANCE_LIMITS, newRuleSchema, newSynonymSchema } from '@millrace/contracts';

const many = (count: number, text: (n: number) => string): string[] => Array.from({ length: count }, (_, n) => text(n));
const issuesOf = (schema: typeof newRuleSchema | typeof newSynonymSchema, value: unknown): string[] => schema.safeParse(value).error?.issues.map(({ path, message }) => `/${path.join('/')} ${message}`) ?? [];

describe('a synonym', () => {
  it.each([
    { given: { kind: 'equivalent', terms: [' Lap  top ', 'notebook'] }, kept: { kind: 'equivalent', terms: ['Lap top', 'notebook'] } },
    { given: { kind: 'one_way', terms: ['iphone'], means: ['smartphone'] }, kept: { kind: 'one_way', terms: ['iphone'], means: ['smartphone'] } },
  ])('keeps its terms with single spaces: $given', ({ given, kept }) => {
    expect(newSynonymSchema.parse(given)).toEqual(kept);
  });
  it.each([
    { why: 'no terms', given: { kind: 'equivalent', terms: [] }, problem: '/terms Too small' },
    { why: 'one term that is equivalent to nothing', given: { kind: 'equivalent', terms: ['a'] }, problem: '/terms Too small' },
    { why: 'too many terms', given: { kind: 'equivalent', terms: many(RELEVANCE_LIMITS.terms + 1, (n) => `t${n}`) }, problem: '/terms Too big' },
    { why: 'an empty term', given: { kind: 'equivalent', terms: ['a', '  '] }, problem: '/terms/1 must hold at least one letter or digit' },
    { why: 'a term of signs', given: { kind: 'equivalent', terms: ['a', '+++'] }, problem: '/terms/1 must hold at least one letter or digit' },
    { why: 'a term that is too long', given: { kind: 'equivalent', terms: ['a', 'b'.repeat(101)] }, problem: '/terms/1 Too big' },
    { why: 'a term of too many words', given: { kind: 'equivalent', terms: ['a', 'b '.repeat(RELEVANCE_LIMITS.termWords + 1)] }, problem: `/terms/1 must have at most ${RELEVANCE_LIMITS.termWords} words` },
    { why: 'a term twice', given: { kind: 'equivalent', terms: ['Sofa', 'couch', 'sofa'] }, problem: '/terms/2 is in the list already' },
    { why: 'a term that means itself', given: { kind: 'one_way', terms: ['tv'], means: ['screen', 'TV'] }, problem: '/means/1 is among the terms already' },
    { why: 'one way to nowhere', given: { kind: 'one_way', terms: ['tv'] }, problem: '/means Invalid input' },
    { why: 'an unknown kind', given: { kind: 'antonym', terms: ['a', 'b'] }, problem: '/kind must be equivalent or one_way' },
    { why: 'no object', given: ['a', 'b'], problem: '/ must be an object' },
    { why: 'an unknown field', given: { kind: 'equivalent', terms: ['a', 'b'], weight: 2 }, problem: '/ Unrecognized key' },
    { why: 'what cannot be stored', given: { kind: 'equivalent', terms: ['a', 'b\0'] }, problem: '/terms/1 holds a character that cannot be stored' },
  ])('is refused with its place: $why', ({ given, problem }) => {
    expect(issuesOf(newSynonymSchema, given)).toEqual([expect.stringContaining(problem)]);
  });
});

describe('a rule', () => {
  const hide = { type: 'hide', select: { brand: 'b' } };
  it.each([
    { query: 'lamp', action: { type: 'pin', skus: ['a', 'b'] } },
    { category: 'Lamps', from: '2026-11-01T00:00:00Z', until: '2026-11-01T00:00:00.001Z', action: hide },
    { query: 'lamp', category: 'Lamps', action: { type: 'bury', select: { skus: ['a'], category: 'c', brand: 'b' } } },
  ])('is taken as it is: %j', (rule) => {
    expect(newRuleSchema.parse(rule)).toEqual(rule);
  });
  it.each([
    { why: 'neither query nor category', given: { action: hide }, problem: '/query is required where no category is given' },
    { why: 'a query without words', given: { query: ' ! ', action: hide }, problem: '/query must hold at least one letter or digit' },
    { why: 'a query of too many words', given: { query: 'w '.repeat(25), action: hide }, problem: '/query must have at most 24 words' },
    { why: 'an unknown action', given: { query: 'lamp', action: { type: 'delete' } }, problem: '/action/type must be pin or boost or bury or hide' },
    { why: 'no action', given: { query: 'lamp' }, problem: '/action must be an object' },
    { why: 'a period that ends before it begins', given: { query: 'lamp', from: '2026-11-02T00:00:00Z', until: '2026-11-01T00:00:00Z', action: hide }, problem: '/until must be after from' },
    { why: 'an empty period', given: { query: 'lamp', from: '2026-11-02T00:00:00Z', until: '2026-11-02T01:00:00+01:00', action: hide }, problem: '/until must be after from' },
    { why: 'a time that is none', given: { query: 'lamp', from: 'tomorrow', action: hide }, problem: '/from must be an ISO 8601 time' },
    { why: 'nothing pinned', given: { query: 'lamp', action: { type: 'pin', skus: [] } }, problem: '/action/skus Too small' },
    { why: 'too much pinned', given: { query: 'lamp', action: { type: 'pin', skus: many(RELEVANCE_LIMITS.pins + 1, (n) => `s${n}`) } }, problem: '/action/skus Too big' },
    { why: 'a sku pinned twice', given: { query: 'lamp', action: { type: 'pin', skus: ['a', 'a'] } }, problem: '/action/skus/1 is in the list already' },
    { why: 'no sku', given: { query: 'lamp', action: { type: 'pin', skus: ['a/b'] } }, problem: '/action/skus/0 must be printable characters' },
    { why: 'everything hidden', given: { query: 'lamp', action: { type: 'hide', select: {} } }, problem: '/action/select must name skus, a category or a brand' },
    { why: 'pinning by brand', given: { query: 'lamp', action: { type: 'pin', select: { brand: 'b' } } }, problem: '/action/skus Invalid input' },
  ])('is refused with its place: $why', ({ given, problem }) => {
    expect(issuesOf(newRuleSchema, given)).toContainEqual(expect.stringContaining(problem));
  });
});
