import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const common = { service: 'ut360-lookup', method: 'get' } as const;
const number = z.number().nullable();

const dataset = z.object({ generation: z.int(), loaded_at: z.string().nullable(), source: z.literal('postgres') });
const generation = z.int().meta({ description: 'Number of the set of generations that all of the answer is of; 0: nothing was loaded yet' });
const freshness = { generation: 8, loaded_at: '2026-11-21T19:00:12.000Z', source: 'postgres' } as const;
const computed = 'Computed by the load from all rows, before they become live; the same numbers after a rollback. When a subscriber is erased they are computed again.';

const sums = {
  subscriber_count: z.int(),
  total_advance: z.number().meta({ description: 'Exact sum of advance_amount; a null counts as nothing' }),
  total_revenue: z.number().meta({ description: 'Exact sum of revenue_per_advance; a null counts as nothing' }),
  avg_value: number.meta({ description: 'Mean customer_value_score of those who have one, four decimals; null: nobody has' }),
};
export const subscriberAnalyticsSchema = z
  .object({
    data: z.array(z.object({ service_type: z.string(), bad_debt_risk: z.enum(['LOW', 'MEDIUM', 'HIGH']), ...sums })).meta({ description: 'By service, then by risk. Kinds that nobody is of are left out' }),
    totals: z.object(sums).meta({ description: 'Of all subscribers with a recommendation' }),
    left_out: z.int().meta({ description: 'Rows that are not in data: it has at most 1,000, those with the most subscribers' }),
    generation,
    freshness: z.object({ recommendation: dataset }),
  })
  .meta({ id: 'SubscriberAnalytics' });
const row = { subscriber_count: 34_635, total_advance: 8_377_550, total_revenue: 741_511.74, avg_value: 63.3224 };
export const getSubscriberAnalytics = defineOperation({
  ...common, operationId: 'getSubscriberAnalytics', path: '/api/ut360/analytics', scope: 'ut360:read', summary: 'Recommendations by service and risk: subscribers, advances, revenue, value', description: computed,
  responses: { 200: { description: 'Of one generation', schema: subscriberAnalyticsSchema, example: { data: [{ service_type: 'AIRTIME_ADVANCE', bad_debt_risk: 'LOW', ...row }], totals: row, left_out: 0, generation: 12, freshness: { recommendation: freshness } } } },
});

const decile = z.int().min(1).max(10).nullable().meta({ description: '1: the lowest ARPU; 10: the highest; null: no arpu_total in any month' });
const value = z.object({ mean: number.meta({ description: 'Over the values that are not null, four decimals; null: there are none' }), total: z.number().meta({ description: 'Exact sum; a null counts as nothing' }) });
export const arpuAnalyticsSchema = z
  .object({
    deciles: z.array(z.object({
      decile, subscribers: z.int(),
      mean_from: number.meta({ description: 'Lowest mean ARPU of a subscriber in it' }), mean_to: number.meta({ description: 'Highest' }),
    })).meta({ description: 'Lowest first' }),
    data: z.array(z.object({ month: z.string().meta({ example: '2026-10' }), decile, subscribers: z.int().meta({ description: 'Those with a row in this month' }), call: value, sms: value, data: value, total: value })).meta({ description: 'Oldest month first, then by decile' }),
    generation,
    freshness: z.object({ arpu: dataset }),
  })
  .meta({ id: 'SubscriberArpuAnalytics' });
const ofKind = (total: number): { readonly mean: number; readonly total: number } => ({ mean: Number((total / 1_474).toFixed(4)), total });
export const getArpuAnalytics = defineOperation({
  ...common, operationId: 'getArpuAnalytics', path: '/api/ut360/analytics/arpu', scope: 'ut360:read', summary: 'ARPU by month and decile of subscribers',
  description: `The newest 24 months. A subscriber's decile goes by the mean of its arpu_total in these months (nulls left out, zeros and negative values as they are), the subscribers sorted by it, equals by ISDN, and cut into ten parts whose sizes differ by one at most; it is the same in every month. ${computed}`,
  responses: {
    200: {
      description: 'Of one generation', schema: arpuAnalyticsSchema,
      example: {
        deciles: [{ decile: 1, subscribers: 21_400, mean_from: -29.9, mean_to: 75.4744 }],
        data: [{ month: '2026-10', decile: 1, subscribers: 1_474, call: ofKind(41_504.74), sms: ofKind(4_769.78), data: ofKind(40_153.33), total: ofKind(86_427.85) }],
        generation: 12, freshness: { arpu: freshness },
      },
    },
  },
});

export const subscriberLoadSchema = z
  .object({
    id: z.int(),
    state: z.enum(['running', 'done', 'refused', 'failed', 'abandoned']).meta({ description: 'abandoned: it was killed. Only done changed what is live, and not as a dry run' }),
    started_at: z.string(), ended_at: z.string().nullable(), seconds: number,
    dry_run: z.boolean().nullable().meta({ description: 'null: it did not come to its end' }),
    generation: z.int().nullable().meta({ description: 'The set that it made live' }),
    subscribers: z.int().nullable(),
    files: z.array(z.object({ dataset: z.string(), file: z.string(), generation: z.int(), rows: z.int(), bad_rows: z.int(), resumed: z.boolean().meta({ description: 'Its table was taken over from a load that was killed' }), seconds: z.number() })),
    error: z.string().nullable(),
    bad_rows: z.array(z.object({ dataset: z.string(), file: z.string(), column: z.string(), reason: z.string(), rows: z.int() })).meta({ description: 'By file, column and reason, the most frequent 20, of the first 10,000 bad rows of a file' }),
  })
  .meta({ id: 'SubscriberLoad' });
export const listSubscriberLoads = defineOperation({
  ...common, operationId: 'listSubscriberLoads', path: '/api/ut360/loads', scope: 'ops', summary: 'The last loads of subscribers',
  description: 'Newest first, without ISDNs. Bad rows one by one are in ut360.bad_rows.',
  query: z.strictObject({ limit: z.coerce.number().int().min(1).max(50).default(10) }),
  responses: {
    200: {
      description: 'Their states and what was wrong', schema: z.object({ data: z.array(subscriberLoadSchema) }).meta({ id: 'SubscriberLoads' }),
      example: {
        data: [{
          id: 31, state: 'done', started_at: '2026-11-21T19:00:00.000Z', ended_at: '2026-11-21T19:00:38.000Z', seconds: 38, dry_run: false, generation: 12, subscribers: 214_000,
          files: [{ dataset: 'arpu', file: 'subscriber_monthly_summary.parquet', generation: 8, rows: 1_478_924, bad_rows: 2, resumed: false, seconds: 7.1 }], error: null,
          bad_rows: [{ dataset: 'arpu', file: 'subscriber_monthly_summary.parquet', column: 'arpu_call', reason: 'is not a number', rows: 2 }],
        }],
      },
    },
  },
});

export const subscriberAnalyticsOperations = [getSubscriberAnalytics, getArpuAnalytics, listSubscriberLoads] as const;
