import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const service = 'recommender';
const share = z.number().meta({ description: '0 = equal, 1 = nothing in common' });
const driftSchema = z.record(z.string(), share);

export const countsSchema = z
  .object({
    bytes_per_user: z.number().nullable().meta({ description: 'Bytes of Redis for the history of a user, on average over those that were measured; null: there is none' }),
    bytes_per_item: z.number().nullable().meta({ description: 'Bytes of Redis for the neighbours of a product' }),
    users_measured: z.int(),
    items_measured: z.int(),
    rebuilds: z.array(z.object({
      id: z.int(), reason: z.enum(['first', 'nightly', 'manual']).meta({ description: 'first: some partition had no counts that were built, as in a new or flushed Redis' }),
      started_at: z.string(), finished_at: z.string().nullable(), generation: z.string().nullable().meta({ description: 'null: it runs, or it failed' }),
      events: z.int().nullable(), users: z.int().nullable(), drift: driftSchema.nullable().meta({ description: 'How far the replaced counts were off' }), error: z.string().nullable(),
    })).meta({ description: 'The latest first' }),
  })
  .meta({ id: 'RecommendationCounts' });
export type CountsBody = z.output<typeof countsSchema>;

const started = { id: 3, reason: 'nightly' as const, started_at: '2026-11-21T03:30:00.000Z', finished_at: '2026-11-21T03:31:10.000Z', generation: 'mi8w3k5c', events: 120_000, users: 9_000, drift: { history: 0, co_buy: 0.002 }, error: null };

export const getCounts = defineOperation({
  operationId: 'getRecommendationCounts', method: 'get', path: '/api/admin/recommendations/counts', service, scope: 'admin', summary: 'What the counts of the recommender cost, and their rebuilds', query: z.strictObject({}),
  responses: { 200: { description: 'Measured now', schema: countsSchema, example: { bytes_per_user: 1_240, bytes_per_item: 4_300, users_measured: 200, items_measured: 310, rebuilds: [started] } } },
});

export const rebuildRecommendations = defineOperation({
  operationId: 'rebuildRecommendations', method: 'post', path: '/api/admin/recommendations/rebuild', service, scope: 'admin', audited: true, summary: 'Rebuild the counts of the recommender from the log, beside the live ones',
  responses: { 202: { description: 'Started, or already running; see GET /api/admin/recommendations/counts', schema: z.object({ started: z.boolean() }), example: { started: true } } },
});

export const recommendationCountOperations = [getCounts, rebuildRecommendations] as const;
