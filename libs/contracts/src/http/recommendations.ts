import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';
import { userIdSchema } from './events.ts';

const service = 'recommender';
const limit = (standard: number) => z.coerce.number().int().min(1).max(100).default(standard);
/** From a query a user id is text: 123 and "123" are one. */
const userId = userIdSchema.meta({ description: 'As in POST /api/event; absent: a stranger', example: '123' });
const flag = z.stringbool().default(false);
const rankingId = z.uuid().meta({ description: 'Names the list: give it back with events and impressions' });

const factors = z.object({ category: z.number(), seen: z.number(), price: z.number() }).meta({ description: 'What the live context does to the score, 1 = nothing: category just looked at, item just seen, price far from the usual' });
const parts = z.object({ own: z.number(), co_buy: z.number(), co_view: z.number(), similar: z.number(), trending: z.number() }).meta({ description: 'Their sum times the factors is the score' });
const product = { sku: skuSchema, name: z.string(), category: z.string().nullable(), brand: z.string().nullable(), price: z.number().nullable(), currency: z.string(), image_url: z.string().nullable() };
export const recommendationStages = ['own', 'co_buy', 'co_view', 'similar', 'trending', 'trending_in_category', 'popular', 'newest', 'relaxed'] as const;

export const recommendationsQuery = z.strictObject({
  user_id: userId.optional(),
  category: z.string().min(1).max(200).optional().meta({ description: 'Only products of this category' }),
  exclude: z.union([z.array(z.string()), z.string().transform((one) => one.split(','))]).pipe(z.array(skuSchema).max(200)).optional().meta({ description: 'Products that must not appear: repeatable, or separated by commas, up to 200', example: 'MR-0001' }),
  exclude_seen: flag.meta({ description: 'Also leave out what the user has just looked at, and has bought' }),
  limit: limit(10),
  explain: flag.meta({ description: 'true: the parts of each score' }),
});

export const recommendationsAnswerSchema = z
  .object({
    ranking_id: rankingId,
    data: z.array(z.object({
      ...product, score: z.number(), stage: z.enum(recommendationStages).meta({ description: 'What filled this place; of a blended one the source that gave most' }),
      explain: z.object({ parts: parts.nullable(), factors }).optional(),
    })),
    fallback: z.boolean().meta({ description: 'true: some places were filled by another stage than the traces of the user' }),
    context: z.enum(['live', 'none', 'unavailable']).meta({ description: 'live: the last minutes of this user count; none: there are none; unavailable: Redis did not answer, so nothing of the user counts' }),
    degraded: z.boolean().meta({ description: 'true: counts or similar products could not be read in time' }),
    experiments: z.array(z.object({ key: z.string(), variant: z.string() })).meta({ description: 'Experiments that this user takes part in, and their variants' }),
  })
  .meta({ id: 'RecommendationsAnswer' });
export type RecommendationsAnswer = z.output<typeof recommendationsAnswerSchema>;

const shown = { sku: 'MR-0002', name: 'Tai nghe chụp tai', category: 'Audio', brand: 'Nhật Minh', price: 79.9, currency: 'USD', image_url: null };
const rankingExample = '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10';

export const getRecommendations = defineOperation({
  operationId: 'getRecommendations', method: 'get', path: '/api/recommendations', service, scope: 'search:read', summary: 'Products for a user, by the last click',
  description: 'What was answered `context: "live"` by POST /api/event counts in the very next list. A list is shorter than `limit` only where there are no more products.',
  query: recommendationsQuery,
  responses: { 200: { description: 'Best first', schema: recommendationsAnswerSchema, example: { ranking_id: rankingExample, data: [{ ...shown, score: 0.61, stage: 'co_buy' }], fallback: false, context: 'live', degraded: false, experiments: [{ key: 'category-boost', variant: 'control' }] } } },
});

export const rerankSchema = z.strictObject({
  user_id: userIdSchema,
  items: z.array(z.strictObject({ sku: skuSchema, score: z.number() })).min(1).max(500),
  limit: z.int().min(1).max(500).optional().meta({ description: 'Default: all of them' }),
  explain: z.boolean().default(false),
});
export const rerankAnswerSchema = z
  .object({
    ranking_id: rankingId,
    data: z.array(z.object({ sku: skuSchema, score: z.number(), given: z.number().meta({ description: 'The score as it came' }), factors: factors.optional() })),
    left_out: z.array(z.string()).meta({ description: 'Given products that are hidden, unknown, or were just bought and are seldom bought again' }),
    context: recommendationsAnswerSchema.shape.context, degraded: z.boolean(),
  })
  .meta({ id: 'RerankAnswer' });
export type RerankAnswer = z.output<typeof rerankAnswerSchema>;

export const rerankItems = defineOperation({
  operationId: 'rerankItems', method: 'post', path: '/api/rerank', service, scope: 'search:read', summary: "Another's list in the order of a user's live context",
  body: rerankSchema, bodyExample: { user_id: 123, items: [{ sku: 'MR-0002', score: 3.1 }, { sku: 'MR-0003', score: 3 }], limit: 10 },
  responses: { 200: { description: 'Best first', schema: rerankAnswerSchema, example: { ranking_id: rankingExample, data: [{ sku: 'MR-0003', score: 4.1, given: 3 }], left_out: ['MR-0002'], context: 'live', degraded: false } } },
});

export const alsoBoughtAnswerSchema = z
  .object({
    ranking_id: rankingId,
    data: z.array(z.object({ ...product, score: z.number(), stage: z.enum(['co_buy', 'co_view', 'similar', 'trending_in_category']), together: z.int().meta({ description: 'How often the two were bought, or looked at, together' }) })),
    degraded: z.boolean(),
  })
  .meta({ id: 'AlsoBoughtAnswer' });
export type AlsoBoughtAnswer = z.output<typeof alsoBoughtAnswerSchema>;

export const alsoBoughtProducts = defineOperation({
  operationId: 'alsoBoughtProducts', method: 'get', path: '/api/products/{sku}/also-bought', service, scope: 'search:read', summary: 'What is bought together with this product',
  params: z.strictObject({ sku: skuSchema }), query: z.strictObject({ limit: limit(10) }),
  responses: { 200: { description: 'Best first; 404 where the product does not exist', schema: alsoBoughtAnswerSchema, example: { ranking_id: rankingExample, data: [{ ...shown, score: 0.31, stage: 'co_buy', together: 12 }], degraded: false } } },
});

export const impressionsSchema = z.strictObject({
  ranking_id: rankingId,
  items: z.array(z.strictObject({ sku: skuSchema, position: z.int().min(0).max(999) })).min(1).max(100),
});
export const postImpressions = defineOperation({
  operationId: 'postImpressions', method: 'post', path: '/api/impressions', service, scope: 'events:write', summary: 'These products of a list came into view',
  description: 'The same product of the same list counts once, however often it is sent.',
  body: impressionsSchema, bodyExample: { ranking_id: rankingExample, items: [{ sku: 'MR-0002', position: 0 }] }, isPublishable: true,
  responses: { 200: { description: 'How many were new', schema: z.object({ new: z.int() }), example: { new: 1 } } },
});

export const recommendationOperations = [getRecommendations, rerankItems, alsoBoughtProducts, postImpressions] as const;
