import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';
import { popularSearches, searchesWithoutHits } from './searches.ts';

const common = { service: 'event-ingest', scope: 'analytics:read', method: 'get' } as const;

/** Points of one answer. */
export const MAX_ANALYTICS_POINTS = 10_000;
export const analyticsGranularities = ['minute', 'hour', 'day'] as const;
export type AnalyticsGranularity = (typeof analyticsGranularities)[number];

const isoTime = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);
const time = z.string().refine((text) => isoTime.safeParse(text).success, { error: 'must be a time such as 2026-11-02T08:00:00Z, or a day such as 2026-11-02' });
const range = {
  from: time.optional().meta({ description: 'Inclusive, taken down to a whole granule in UTC; default: an hour, a day or 30 days before `to`, by the granularity', example: '2026-11-02T00:00:00Z' }),
  to: time.optional().meta({ description: 'Exclusive, taken up to a whole granule in UTC; default: now', example: '2026-11-03T00:00:00Z' }),
};
const granularityOf = <const G extends readonly [AnalyticsGranularity, ...AnalyticsGranularity[]]>(given: G) =>
  z.enum(given).default('day').meta({ description: `Points of one answer: at most ${MAX_ANALYTICS_POINTS}. Minutes are kept for 48 hours and hours for 90 days by default, days for ever` });

/** When it was answered, and how far it can be trusted. */
const asked = {
  from: z.string().meta({ description: 'As it was answered: the beginning of the first granule, UTC' }),
  to: z.string().meta({ description: 'The end of the last granule, UTC' }),
  granularity: z.enum(analyticsGranularities),
  complete_to: z.string().nullable().meta({ description: 'Whatever was taken before is counted; null: nothing is known of that' }),
  degraded: z.boolean().meta({ description: 'true: Redis did not answer, so what was counted in the last seconds is missing' }),
};
const counts = {
  views: z.int(), clicks: z.int(), carts: z.int(), purchases: z.int(), ratings: z.int(),
  searches: z.int().meta({ description: 'First pages' }),
  searches_without_hits: z.int().meta({ description: 'Without those while the index was down' }),
};
const rate = (description: string) => z.number().nullable().meta({ description: `${description}; null: there are none. By events, not by users: may be above 1` });

export const analyticsSummarySchema = z
  .object({
    ...asked,
    totals: z.object(counts),
    conversion: z.object({ view_to_cart: rate('carts for each view'), cart_to_purchase: rate('purchases for each cart'), view_to_purchase: rate('purchases for each view') }),
  })
  .meta({ id: 'AnalyticsSummary' });
export type AnalyticsSummary = z.output<typeof analyticsSummarySchema>;

export const analyticsSeriesSchema = z
  .object({
    ...asked,
    data: z.array(z.object({
      at: z.string().meta({ description: 'Beginning, UTC' }), ...counts,
      users: z.int().nullable().optional().meta({ description: 'Only by day: different user ids, within about 1 % (HyperLogLog). null: not counted, because the events came more than a day late' }),
    })).meta({ description: 'Without gaps: what has no events is 0' }),
  })
  .meta({ id: 'AnalyticsSeries' });
export type AnalyticsSeries = z.output<typeof analyticsSeriesSchema>;

export const analyticsProductsSchema = z
  .object({
    ...asked,
    data: z.array(z.object({
      sku: skuSchema,
      category: z.string().nullable(), brand: z.string().nullable(),
      views: z.int(), clicks: z.int(), carts: z.int(), purchases: z.int(),
    })).meta({ description: 'The highest first; of equals the first by sku' }),
  })
  .meta({ id: 'AnalyticsProducts' });
export type AnalyticsProducts = z.output<typeof analyticsProductsSchema>;

const at = { from: '2026-11-02T00:00:00.000Z', to: '2026-11-03T00:00:00.000Z', granularity: 'day', complete_to: '2026-11-02T08:00:00.000Z', degraded: false } as const;
const totals = { views: 1_200, clicks: 310, carts: 96, purchases: 48, ratings: 3, searches: 510, searches_without_hits: 21 };
const lateness = 'By the time that an event says it happened, in UTC. Each event counts once, some milliseconds after it was taken; a late one is added to its own time.';

export const analyticsSummary = defineOperation({
  ...common, operationId: 'analyticsSummary', path: '/api/analytics/summary', summary: 'Views, clicks, carts, purchases and searches of a time, and conversion', description: lateness,
  query: z.strictObject({ ...range, granularity: granularityOf(analyticsGranularities) }),
  responses: { 200: { description: 'Sums', schema: analyticsSummarySchema, example: { ...at, totals, conversion: { view_to_cart: 0.08, cart_to_purchase: 0.5, view_to_purchase: 0.04 } } } },
});
export const analyticsSeries = defineOperation({
  ...common, operationId: 'analyticsSeries', path: '/api/analytics/timeseries', summary: 'The same by minute, hour or day', description: lateness,
  query: z.strictObject({ ...range, granularity: granularityOf(analyticsGranularities) }),
  responses: { 200: { description: 'Oldest first', schema: analyticsSeriesSchema, example: { ...at, data: [{ at: at.from, ...totals, users: 204 }] } } },
});
export const topProducts = defineOperation({
  ...common, operationId: 'topProducts', path: '/api/analytics/products/top', summary: 'The products that are looked at, put into carts or bought most', description: `${lateness} By hour for the last 48 hours, by day for ever; at most 92 days at once.`,
  query: z.strictObject({
    ...range, granularity: granularityOf(['hour', 'day']),
    by: z.enum(['views', 'clicks', 'carts', 'purchases']).default('purchases'),
    limit: z.coerce.number().int().min(1).max(1_000).default(20),
  }),
  responses: { 200: { description: 'Highest first', schema: analyticsProductsSchema, example: { ...at, data: [{ sku: 'MR-0001', category: 'Audio', brand: 'Nhật Minh', views: 80, clicks: 31, carts: 9, purchases: 5 }] } } },
});

/** Answered by catalog-api, which owns the counts of queries. */
export const topQueries = defineOperation({ ...popularSearches, operationId: 'topQueries', path: '/api/analytics/queries/top', scope: 'analytics:read' });
export const queriesWithoutHits = defineOperation({ ...searchesWithoutHits, operationId: 'queriesWithoutHits', path: '/api/analytics/queries/no-hits', scope: 'analytics:read' });

export const recountAnalytics = defineOperation({
  operationId: 'recountAnalytics', method: 'post', path: '/api/admin/analytics/recount', service: 'event-ingest', scope: 'admin', audited: true, timeoutMs: 300_000,
  summary: 'Count interactions of a time again, from the log',
  description: 'Makes the counts equal to the log: after Redis lost what was not rolled up yet. Whole hours in the last 48 hours, whole days before. Safe to repeat. Searches are not in the log and stay. 503 while events are still on their way.',
  body: z.strictObject({ from: time, to: time }), bodyExample: { from: '2026-11-02T00:00:00Z', to: '2026-11-02T08:00:00Z' },
  responses: {
    200: {
      description: 'Counted', example: { from: '2026-11-02T00:00:00.000Z', to: '2026-11-02T08:00:00.000Z', added: 12, removed: 0 },
      schema: z.object({ from: z.string(), to: z.string(), added: z.int().meta({ description: 'Events that were in the log and not in the counts' }), removed: z.int().meta({ description: 'And the other way round' }) }),
    },
  },
});

export const liveTypes = ['view', 'click', 'add_to_cart', 'purchase', 'rate', 'search'] as const;
export type LiveType = (typeof liveTypes)[number];

export const liveFeed = defineOperation({
  ...common, operationId: 'liveFeed', path: '/api/live', summary: 'What happens now (server-sent events)', isFeed: true,
  description: 'Events as they come (`interaction`, `search`), `counts` of the last minute each second with how many events were left out since the one before, `gap` where some may be missing; a comment every 15 s. At most 100 events a second of each type are sent. Users are pseudonyms, different after a restart, unless the key also has the scope events:read. `Last-Event-ID` goes on where a connection broke off, within the last 1,000 events.',
  query: z.strictObject({
    types: z.string().transform((text) => text.split(',')).pipe(z.array(z.enum(liveTypes)).min(1).max(20)).optional().meta({ description: 'Only these, separated by commas; default: all', example: 'purchase,add_to_cart' }),
  }),
  responses: {
    200: {
      description: 'A stream that ends with the service', schema: z.string(), mediaType: 'text/event-stream',
      example: 'id: 5f1c-17\nevent: interaction\ndata: {"type":"purchase","sku":"MR-0001","category":"Audio","at":"2026-11-02T08:00:00.000Z","user":"u_9fX2mQ0bY7c1Zr5tLk3w8A"}\n\n',
    },
  },
});

export const analyticsOperations = [analyticsSummary, analyticsSeries, topProducts, topQueries, queriesWithoutHits, recountAnalytics, liveFeed] as const;
