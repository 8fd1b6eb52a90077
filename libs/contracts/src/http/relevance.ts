import { z } from 'zod';
import { NOT_STORABLE, isStorable } from '../json-limits.ts';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';
import { pageSchema } from './products.ts';

const common = { service: 'catalog-api', scope: 'admin' } as const;

/** How much there may be: all of it is compiled into the memory of every instance. */
export const RELEVANCE_LIMITS = { synonyms: 5_000, rules: 2_000, terms: 20, termWords: 8, queryWords: 24, pins: 50, skus: 500 } as const;

const spaced = (text: string): string => text.normalize('NFC').trim().replaceAll(/\s+/g, ' ');
const countWords = (text: string): number => text.match(/[\p{L}\p{N}\p{M}]*[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu)?.length ?? 0;

/** Text of which a search sees at least one word. Repeated spaces become one. */
const words = (maxCharacters: number, maxWords: number) =>
  z
    .string()
    .max(maxCharacters)
    .refine(isStorable, NOT_STORABLE)
    .transform(spaced)
    .pipe(z.string()
      .refine((text) => countWords(text) > 0, { error: 'must hold at least one letter or digit' })
      .refine((text) => countWords(text) <= maxWords, { error: `must have at most ${maxWords} words` }));

/** What is the same for a search, as far as can be told without its index: the case does not count. */
const keyOf = (text: string): string => text.toLowerCase();

const isNew = (seen: Set<string>, key: string): boolean => seen.size < seen.add(key).size;

/** Reports each repetition at its place. */
const checkDistinct = (texts: readonly string[], ctx: z.RefinementCtx, { path = [], seen = new Set<string>(), message = 'is in the list already' }: { path?: string[]; seen?: Set<string>; message?: string } = {}): void =>
  texts.forEach((text, index) => {
    if (!isNew(seen, keyOf(text))) ctx.addIssue({ code: 'custom', path: [...path, index], message });
  });

const terms = (min: number) => z.array(words(100, RELEVANCE_LIMITS.termWords)).min(min).max(RELEVANCE_LIMITS.terms);
const distinctTerms = (min: number) => terms(min).superRefine((list, ctx) => checkDistinct(list, ctx));

const equivalent = z.strictObject({ kind: z.literal('equivalent'), terms: distinctTerms(2).meta({ example: ['laptop', 'notebook'] }) });
const oneWay = z
  .strictObject({ kind: z.literal('one_way'), terms: distinctTerms(1), means: distinctTerms(1) })
  .superRefine(({ terms: from, means }, ctx) => checkDistinct(means, ctx, { path: ['means'], seen: new Set(from.map(keyOf)), message: 'is among the terms already' }));

/** Of an object without a known kind the issue's place is its field. */
const oneOf = (values: readonly string[]) => (issue: { readonly code: string | undefined; readonly input?: unknown }): string => {
  const isObject = typeof issue.input === 'object' && issue.input !== null && !Array.isArray(issue.input);
  return isObject ? `must be ${values.join(' or ')}` : 'must be an object';
};

/** Body of a synonym: `equivalent` terms find each other; the `terms` of a `one_way` find what they mean, too, but not the other way round. */
export const newSynonymSchema = z.discriminatedUnion('kind', [equivalent, oneWay], { error: oneOf(['equivalent', 'one_way']) }).meta({ id: 'NewSynonym' });
export type NewSynonym = z.output<typeof newSynonymSchema>;

const stored = {
  id: z.int(),
  version: z.int().meta({ description: 'Grows with every change of any synonym or rule; it is in the ETag' }),
  created_at: z.string(),
  updated_at: z.string(),
};
export const synonymSchema = z
  .discriminatedUnion('kind', [
    z.object({ ...stored, kind: z.literal('equivalent'), terms: z.array(z.string()) }),
    z.object({ ...stored, kind: z.literal('one_way'), terms: z.array(z.string()), means: z.array(z.string()) }),
  ])
  .meta({ id: 'Synonym' });
export type Synonym = z.output<typeof synonymSchema>;

const skus = (max: number) => z.array(skuSchema).min(1).max(max).superRefine((list, ctx) => {
  const seen = new Set<string>();
  list.forEach((sku, index) => {
    if (!isNew(seen, sku)) ctx.addIssue({ code: 'custom', path: [index], message: 'is in the list already' });
  });
});
const named = z.string().trim().min(1).max(200).refine(isStorable, NOT_STORABLE);

export const selectorSchema = z
  .strictObject({ skus: skus(RELEVANCE_LIMITS.skus).exactOptional(), category: named.exactOptional(), brand: named.exactOptional() })
  .refine((select) => Object.values(select).some((value) => value !== undefined), { error: 'must name skus, a category or a brand' })
  .meta({ id: 'ProductSelector', description: 'Products that match every field that is given' });

const actionTypes = ['pin', 'boost', 'bury', 'hide'] as const;
export const ruleActionSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('pin'), skus: skus(RELEVANCE_LIMITS.pins).meta({ description: 'In the order in which they lead the answer' }) }),
  z.strictObject({ type: z.literal('boost'), select: selectorSchema }),
  z.strictObject({ type: z.literal('bury'), select: selectorSchema }),
  z.strictObject({ type: z.literal('hide'), select: selectorSchema }),
], { error: oneOf(actionTypes) });

const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time such as 2026-11-02T08:00:00Z' });
/** Years of another length than four digits are not read back from Postgres as they were. */
const FIRST_MS = Date.UTC(1970, 0);
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const periodTime = time.refine((text) => Date.parse(text) >= FIRST_MS && Date.parse(text) <= LAST_MS, { error: 'must be a time from 1970 to 9999, in UTC' });
const ruleFields = {
  query: words(200, RELEVANCE_LIMITS.queryWords).exactOptional().meta({ description: "The search's words, in any order, plural or singular, or synonyms of them", example: 'headphones' }),
  category: named.exactOptional().meta({ description: "The search's category filter" }),
  from: periodTime.exactOptional().meta({ description: 'Inclusive; absent = since ever', example: '2026-11-27T00:00:00Z' }),
  until: periodTime.exactOptional().meta({ description: 'Exclusive; absent = for ever', example: '2026-11-30T00:00:00Z' }),
};

/** Body of a merchandising rule. At least one of `query` and `category` says for which searches it is. */
export const newRuleSchema = z
  .strictObject({ ...ruleFields, action: ruleActionSchema })
  .superRefine(({ query, category, from, until }, ctx) => {
    if (query === undefined && category === undefined) ctx.addIssue({ code: 'custom', path: ['query'], message: 'is required where no category is given: a rule is for a query, a category or both' });
    if (from !== undefined && until !== undefined && Date.parse(until) <= Date.parse(from)) ctx.addIssue({ code: 'custom', path: ['until'], message: 'must be after from' });
  })
  .meta({ id: 'NewRule' });
export type NewRule = z.output<typeof newRuleSchema>;

export const ruleSchema = z
  .object({ ...stored, query: z.string().exactOptional(), category: z.string().exactOptional(), from: z.string().exactOptional(), until: z.string().exactOptional(), action: ruleActionSchema })
  .meta({ id: 'Rule' });
export type Rule = z.output<typeof ruleSchema>;

const params = z.strictObject({ id: z.coerce.number().int().positive().max(2_147_483_647) });
const pageQuery = z.strictObject({ cursor: z.string().max(1_000).optional().meta({ description: 'page.next of the answer before' }), limit: z.coerce.number().int().min(1).max(500).default(100) });
const headers = z.object({ 'if-match': z.string().optional().meta({ description: 'ETag as you know it: refused with 412 if it has changed since. Without it the last writer wins', example: '"17.17"' }) });

const at = { created_at: '2026-11-01T08:00:00.000000Z', updated_at: '2026-11-02T08:00:00.000000Z' };
const newSynonymExample = { kind: 'equivalent' as const, terms: ['laptop', 'notebook'] };
const synonymExample = { id: 3, version: 17, ...newSynonymExample, ...at };
const newRuleExample = { query: 'headphones', from: '2026-11-27T00:00:00Z', until: '2026-11-30T00:00:00Z', action: { type: 'pin' as const, skus: ['MR-0001', 'MR-0002'] } };
const ruleExample = { id: 12, version: 18, ...newRuleExample, ...at };

const live = 'In force on the answering instance at once, on all others within about a second.';

export const listSynonyms = defineOperation({
  ...common, operationId: 'listSynonyms', method: 'get', path: '/api/admin/synonyms', summary: 'List synonyms', query: pageQuery,
  responses: { 200: { description: 'One page by id', schema: z.object({ data: z.array(synonymSchema), page: pageSchema }), example: { data: [synonymExample], page: { next: null, limit: 100 } } } },
});
export const createSynonym = defineOperation({
  ...common, operationId: 'createSynonym', method: 'post', path: '/api/admin/synonyms', audited: true, summary: 'Create a synonym', description: live, body: newSynonymSchema, bodyExample: newSynonymExample,
  responses: { 201: { description: 'Created; ETag and Location are set', schema: synonymSchema, example: synonymExample } },
});
export const getSynonym = defineOperation({
  ...common, operationId: 'getSynonym', method: 'get', path: '/api/admin/synonyms/{id}', summary: 'Read a synonym', params,
  responses: { 200: { description: 'The synonym', schema: synonymSchema, example: synonymExample } },
});
export const replaceSynonym = defineOperation({
  ...common, operationId: 'replaceSynonym', method: 'put', path: '/api/admin/synonyms/{id}', audited: true, summary: 'Replace a synonym', description: live, params, headers, body: newSynonymSchema, bodyExample: newSynonymExample,
  responses: { 200: { description: 'The synonym as it is now', schema: synonymSchema, example: synonymExample } },
});
export const deleteSynonym = defineOperation({
  ...common, operationId: 'deleteSynonym', method: 'delete', path: '/api/admin/synonyms/{id}', audited: true, summary: 'Delete a synonym', description: live, params, headers,
  responses: { 204: { description: 'Deleted' } },
});

export const listRules = defineOperation({
  ...common, operationId: 'listRules', method: 'get', path: '/api/admin/rules', summary: 'List merchandising rules', query: pageQuery,
  responses: { 200: { description: 'One page by id, whatever their period', schema: z.object({ data: z.array(ruleSchema), page: pageSchema }), example: { data: [ruleExample], page: { next: null, limit: 100 } } } },
});
export const createRule = defineOperation({
  ...common, operationId: 'createRule', method: 'post', path: '/api/admin/rules', audited: true, summary: 'Create a merchandising rule', body: newRuleSchema, bodyExample: newRuleExample,
  description: `${live} Rules obey the search's filters; pins, boosts and burials act only where the sort is by relevance, hiding always.`,
  responses: { 201: { description: 'Created; ETag and Location are set', schema: ruleSchema, example: ruleExample } },
});
export const getRule = defineOperation({
  ...common, operationId: 'getRule', method: 'get', path: '/api/admin/rules/{id}', summary: 'Read a merchandising rule', params,
  responses: { 200: { description: 'The rule', schema: ruleSchema, example: ruleExample } },
});
export const replaceRule = defineOperation({
  ...common, operationId: 'replaceRule', method: 'put', path: '/api/admin/rules/{id}', audited: true, summary: 'Replace a merchandising rule', description: live, params, headers, body: newRuleSchema, bodyExample: newRuleExample,
  responses: { 200: { description: 'The rule as it is now', schema: ruleSchema, example: ruleExample } },
});
export const deleteRule = defineOperation({
  ...common, operationId: 'deleteRule', method: 'delete', path: '/api/admin/rules/{id}', audited: true, summary: 'Delete a merchandising rule', description: live, params, headers,
  responses: { 204: { description: 'Deleted' } },
});

const byRule = z.object({ rule: z.string().meta({ description: 'Id of the rule' }), select: selectorSchema });
export const relevancePreviewSchema = z.object({
  revision: z.int().meta({ description: 'The last change of a synonym or a rule that this instance has loaded' }),
  synonyms: z.array(z.object({ synonym: z.string().meta({ description: 'Id of the synonym' }), words: z.string(), alternatives: z.array(z.string()) })),
  pins: z.array(z.object({ rule: z.string(), sku: z.string() })),
  boosts: z.array(byRule.extend({ type: z.enum(['boost', 'bury']) })),
  hides: z.array(byRule),
});
export type RelevancePreview = z.output<typeof relevancePreviewSchema>;

export const previewRelevance = defineOperation({
  ...common, operationId: 'previewRelevance', method: 'get', path: '/api/admin/relevance', summary: 'Which synonyms and rules apply to a search',
  description: 'Searches nothing. With `at`, what will apply (or would have applied) at that time, by the synonyms and rules as they are now.',
  query: z.strictObject({ q: z.string().max(10_000).optional().meta({ example: 'headphones' }), category: z.string().min(1).max(200).optional(), at: time.optional().meta({ description: 'Default: now' }) }),
  responses: { 200: { description: 'What applies', schema: relevancePreviewSchema, example: {
    revision: 18, synonyms: [{ synonym: '3', words: 'headphones', alternatives: ['headset'] }], pins: [{ rule: '12', sku: 'MR-0001' }], boosts: [], hides: [{ rule: '4', select: { brand: 'Nhật Minh' } }] } } },
});

export const relevanceOperations = [
  listSynonyms, createSynonym, getSynonym, replaceSynonym, deleteSynonym, listRules, createRule, getRule, replaceRule, deleteRule, previewRelevance,
] as const;
