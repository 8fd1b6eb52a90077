import { z } from 'zod';
import { currencySchema } from '../money.ts';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';
import { userIdSchema } from './events.ts';
import { pageSchema } from './products.ts';

const service = 'catalog-api';
const amount = z.string().regex(/^\d{1,15}(\.\d{1,6})?$/, 'must be a decimal of at least 0, such as 19.90');
const limit = (fallback: number) => z.coerce.number().int().min(1).max(100).default(fallback);

export const searchQuery = z
  .strictObject({
    q: z.string().max(10_000).optional().meta({ description: 'Words to look for; empty = everything', example: 'tai nghe' }),
    min_price: amount.optional(),
    max_price: amount.optional(),
    currency: currencySchema.optional().meta({ description: 'Currency of price filter, sort and facet; default DEFAULT_CURRENCY' }),
    merchant_id: z.coerce.number().int().positive().optional(),
    category: z.string().min(1).max(200).optional(),
    brand: z.string().min(1).max(200).optional(),
    in_stock: z.stringbool().optional(),
    sort: z.enum(['relevance', 'price_asc', 'price_desc', 'newest']).default('relevance'),
    limit: limit(20),
    cursor: z.string().max(4_000).optional(),
    wait_for: z.string().max(200).regex(/^.+:[1-9]\d{0,15}$/, 'must be a sku and a version, such as MR-0001:1204').optional().meta({ description: 'sku:version; waits at most 2 s until searches see that sku at that version or a higher one', example: 'MR-0001:1204' }),
    explain: z.stringbool().default(false).meta({ description: 'Says of each hit in plain words why it is there and where it is' }),
    hybrid: z.stringbool().optional().meta({ description: 'Fuses the ranks of words and vectors; for searches with words, by relevance. At most 200 products in all pages. Default: SEARCH_HYBRID (off)' }),
    personalize: z.stringbool().default(false).meta({ description: 'Re-ranks the first 100 products by what user_id did in the last minutes; for searches by relevance. Costs at most 30 ms; the answer says where it was not possible' }),
    user_id: userIdSchema.optional().meta({ description: 'As in POST /api/event; required with personalize=true', example: '123' }),
  })
  .refine(({ personalize, user_id: userId }) => !personalize || userId !== undefined, { path: ['user_id'], error: 'is required with personalize=true: the user as in POST /api/event' });
/** The shop's name for its user: only a pseudonym of it is kept, in the search log. */
const userHeader = z.object({ 'x-user-id': z.string().min(1).max(200).optional().meta({ description: "The shop's id of its user; the search log gets a pseudonym of it", example: 'customer-81' }) });

export const searchHitSchema = z
  .object({
    sku: z.string(), name: z.string(), description: z.string().nullable(), category: z.string().nullable(), brand: z.string().nullable(), merchant_id: z.int(),
    price: z.number().nullable(), currency: z.string(), stock: z.int().nullable(), image_url: z.string().nullable(), version: z.int(), score: z.number(),
    highlights: z.record(z.string(), z.string()).meta({ description: 'HTML-escaped text with the matched words in <em>' }),
    explanation: z.array(z.string()).optional().meta({ description: 'With explain: why it is here and where it stands, in plain words' }),
  })
  .meta({ id: 'SearchHit' });

export const personalizedReasons = ['not_asked', 'sort', 'timeout', 'unavailable', 'index_down'] as const;

const count = z.object({ value: z.union([z.string(), z.int()]), count: z.int() });
export const searchAnswerSchema = z
  .object({
    data: z.array(searchHitSchema),
    total: z.int(),
    facets: z.object({
      category: z.array(count), brand: z.array(count), merchant: z.array(count),
      price: z.array(z.object({ from: z.number(), to: z.number().nullable(), count: z.int() })),
    }),
    page: pageSchema,
    did_you_mean: z.string().nullable().meta({ description: 'The query with its unknown words corrected: what was found is what this finds. null: nothing was corrected' }),
    hybrid: z.boolean().meta({ description: 'true: ranks of words and vectors were fused' }),
    personalized: z.boolean().meta({ description: 'true: in the order of the live context of user_id; later pages are what the first one was' }),
    personalized_reason: z.enum(personalizedReasons).nullable().meta({ description: 'Why it is not: not_asked; sort (not by relevance); timeout (the recommender took longer than 30 ms); unavailable (it is away, or knows nothing of users now); index_down. null: it is' }),
    ranking_id: z.uuid().nullable().meta({ description: 'Names the personalised list: give it back with events and impressions' }),
    degraded: z.boolean().meta({ description: 'true: the index is down, the answer is empty or comes from Postgres; or hybrid was wanted and the vectors could not be had, the answer is that of the words' }),
    took_ms: z.number(),
    index_lag_ms: z.int().nullable().meta({ description: 'How far the index is behind the catalogue now, milliseconds; null: not known yet' }),
    waited: z.boolean().nullable().meta({ description: 'wait_for: true = searches see that version, false = not within 2 s, or too many searches wait already; null = not asked for' }),
  })
  .meta({ id: 'SearchAnswer' });
export type SearchAnswerBody = z.output<typeof searchAnswerSchema>;

const hitExample = {
  sku: 'MR-0001', name: 'Tai nghe không dây', description: null, category: 'Audio', brand: 'Nhật Minh', merchant_id: 1, price: 89.9, currency: 'USD', stock: 12,
  image_url: null, version: 1204, score: 7.3, highlights: { name: '<em>Tai nghe</em> không dây' },
};

export const searchProducts = defineOperation({
  operationId: 'searchProducts', method: 'get', path: '/api/search', service, scope: 'search:read', summary: 'Search the catalogue', query: searchQuery, headers: userHeader,
  responses: {
    200: { description: 'Best match first', schema: searchAnswerSchema, example: {
      data: [hitExample], total: 1,
      facets: { category: [{ value: 'Audio', count: 1 }], brand: [{ value: 'Nhật Minh', count: 1 }], merchant: [{ value: 1, count: 1 }], price: [{ from: 50, to: 100, count: 1 }] },
      page: { next: null, limit: 20 }, did_you_mean: null, hybrid: false, personalized: false, personalized_reason: 'not_asked', ranking_id: null, degraded: false, took_ms: 1.9, index_lag_ms: 14, waited: null } },
  },
});

export const suggestProducts = defineOperation({
  operationId: 'suggestProducts', method: 'get', path: '/api/suggest', service, scope: 'search:read', summary: 'Complete what is being typed',
  query: z.strictObject({ q: z.string().min(1).max(200), limit: limit(8) }),
  responses: {
    200: { description: 'Best first', schema: z.object({ data: z.array(z.object({ text: z.string(), kind: z.enum(['product', 'category', 'brand']), sku: z.string().optional() })), degraded: z.boolean() }),
      example: { data: [{ text: 'Tai nghe không dây', kind: 'product', sku: 'MR-0001' }], degraded: false } },
  },
});

const score = z.number().min(-1).max(1);
const DEFAULT_SCORE = { description: 'Default SIMILARITY_THRESHOLD (0.75)' };
const similarOptions = {
  limit: limit(10),
  min_score: z.coerce.number().pipe(score).optional().meta(DEFAULT_SCORE),
  category: z.string().min(1).max(200).optional(),
};
/** In a body numbers are numbers: null is none. */
const similarFields = { ...similarOptions, limit: z.int().min(1).max(100).default(10), min_score: score.optional().meta(DEFAULT_SCORE) };
export const similarQuery = z.strictObject(similarOptions);
export const similarAnswerSchema = z
  .object({
    data: z.array(z.object({
      sku: z.string(), product_id: z.string(), name: z.string(), similarity_score: z.number(), category: z.string().nullable(), brand: z.string().nullable(),
      price: z.number().nullable(), currency: z.string(), in_stock: z.boolean(), image_url: z.string().nullable(), embedding_updated_at: z.string().nullable(),
      source: z.enum(['similar', 'category', 'brand', 'nearest']).meta({ description: 'Which stage filled this place' }),
    })),
    fallback: z.boolean().meta({ description: 'true: fewer than `limit` reached min_score and the rest was filled' }),
    model: z.string().nullable(),
    degraded: z.boolean(),
  })
  .meta({ id: 'SimilarAnswer' });
export type SimilarAnswerBody = z.output<typeof similarAnswerSchema>;

/** `unknown`: those of the given products that do not exist. */
export const similarToSeveralSchema = similarAnswerSchema.extend({ unknown: z.array(z.string()).meta({ description: 'Given products that do not exist; the answer is about the others' }) }).meta({ id: 'SimilarToSeveralAnswer' });
export type SimilarToSeveralBody = z.output<typeof similarToSeveralSchema>;

const similarResponses = {
  200: { description: 'Most similar first', schema: similarAnswerSchema, example: {
    data: [{ sku: 'MR-0002', product_id: 'MR-0002', name: 'Tai nghe chụp tai', similarity_score: 0.83, category: 'Audio', brand: 'Nhật Minh', price: 79.9, currency: 'USD', in_stock: true, image_url: null, embedding_updated_at: '2026-11-02T08:00:00Z', source: 'similar' as const }],
    fallback: false, model: '5f1c0a9be2d34c77', degraded: false } },
};
const similarTo = { method: 'get', service, scope: 'search:read', query: similarQuery, responses: similarResponses } as const;

export const similarProducts = defineOperation({ ...similarTo, operationId: 'similarProducts', path: '/api/products/{sku}/similar', summary: 'Products like this one', params: z.strictObject({ sku: skuSchema }) });
const productIdParams = z.strictObject({ product_id: skuSchema });
export const similarRecommendations = defineOperation({ ...similarTo, operationId: 'similarRecommendations', path: '/api/recommendations/{product_id}/similar', summary: 'Alias of similarProducts', params: productIdParams });
export const similarRecommendationsShort = defineOperation({ ...similarTo, operationId: 'similarRecommendationsShort', path: '/recommendations/{product_id}/similar', summary: 'Alias of similarProducts', params: productIdParams });
export const similarByBody = defineOperation({
  operationId: 'similarByBody', method: 'post', path: '/products', service, scope: 'search:read', summary: 'Alias of similarProducts with its parameters in the body',
  body: z.strictObject({ product_id: skuSchema, ...similarFields }), bodyExample: { product_id: 'MR-0001', limit: 10, min_score: 0.75 }, responses: similarResponses,
});

const severalSkus = z.array(skuSchema).min(1).max(20);
const several = {
  service, scope: 'search:read', description: 'By the mean of their vectors. None of the given products is in the answer; one that is given twice counts once. 404 where none of them exists.',
  responses: { 200: { description: 'Most similar first', schema: similarToSeveralSchema, example: { ...similarResponses[200].example, unknown: [] } } },
} as const;
export const similarToSeveral = defineOperation({
  ...several, operationId: 'similarToSeveral', method: 'post', path: '/api/similar', summary: 'Products like several at once, such as those in a basket',
  body: z.strictObject({ product_ids: severalSkus, ...similarFields }), bodyExample: { product_ids: ['MR-0001', 'MR-0003'], limit: 10 },
});
export const similarToSeveralByQuery = defineOperation({
  ...several, operationId: 'similarToSeveralByQuery', method: 'get', path: '/api/similar', summary: 'similarToSeveral with its parameters in the query',
  query: z.strictObject({
    product_id: z.union([z.array(z.string()), z.string().transform((one) => [one])]).pipe(severalSkus).meta({ description: 'Repeatable, up to 20 times', example: 'MR-0001' }),
    ...similarOptions,
  }),
});

export const searchOperations = [
  searchProducts, suggestProducts, similarProducts, similarRecommendations, similarRecommendationsShort, similarByBody, similarToSeveral, similarToSeveralByQuery,
] as const;
