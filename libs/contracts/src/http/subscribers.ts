import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const service = 'ut360-lookup';
const scope = 'ut360:read';
/** Of one lookup: as JSON, and as a stream of NDJSON. */
export const LOOKUP_LIMITS = { json: 1_000, stream: 10_000 } as const;

const isdnText = z.string().min(1).max(256).meta({ description: 'A Vietnamese mobile number in any form (0912345678, +84912345678), or an opaque token of 8 to 128 characters; in a path percent-encoded (/ is %2F)', example: '0912345678' });
const unmask = z.boolean().default(false).meta({ description: 'true: ISDNs as they are, which needs the scope pii:read and counts against a daily quota' });
const unmaskQuery = z.stringbool().default(false).meta({ description: 'true: ISDNs as they are, which needs the scope pii:read and counts against a daily quota' });
const monthCount = z.int().min(1).max(24);
const months = z.coerce.number().pipe(monthCount).meta({ description: 'Months of ARPU, up to the newest month that was loaded' });
const limit = z.coerce.number().int().min(1).max(1_000).default(100);

const number = z.number().nullable();
const recommendationSchema = z
  .looseObject({
    subscriber_type: z.string().nullable(), service_type: z.string(), advance_amount: number, revenue_per_advance: number, cluster_group: z.string().nullable(), bad_debt_risk: z.enum(['LOW', 'MEDIUM', 'HIGH']),
    arpu_avg_6m: number, arpu_growth_rate: number, arpu_trend: z.string().nullable(), customer_value_score: number, advance_readiness_score: number, priority_score: number,
    extra: z.record(z.string(), z.unknown()).optional().meta({ description: 'Columns of the file that have no name here' }),
  })
  .nullable()
  .meta({ id: 'SubscriberRecommendation' });
const profileSchema = z
  .looseObject({
    kpi_scores: z.object({ customer_value: number, advance_readiness: number }),
    arpu_stats: z.object({ avg: number, median: number, min: number, max: number, std: number, growth_rate: number, trend: z.string().nullable() }),
    revenue: z.object({ call: number, sms: number, data: number, total: number }),
    topup: z.object({ count: number, amount_avg: number, days_between: number, last_date: z.string().nullable() }),
    risk: z.object({ level: z.string().nullable(), score: number, factors: z.unknown() }),
    clustering: z.object({ group: z.string().nullable(), name: z.string().nullable() }),
    insights: z.unknown().meta({ description: '{strengths, recommendations}' }),
  })
  .nullable()
  .meta({ id: 'SubscriberProfile' });
const arpuSchema = z
  .array(z.object({ month: z.string().meta({ example: '2026-10' }), call: number, sms: number, data: number, total: number }))
  .meta({ id: 'SubscriberArpu', description: 'Oldest month first; a month without data has nulls' });
const freshness = z.object({ generation: z.int(), loaded_at: z.string().nullable(), source: z.enum(['redis', 'postgres']) });
const freshnessSchema = z.object({ recommendation: freshness, profile: freshness, arpu: freshness }).meta({ id: 'SubscriberFreshness', description: 'Of each block: the generation of its dataset, when that was loaded, and which store answered' });
const shownIsdn = z.string().meta({ description: 'Masked unless unmask is set', example: '84912***678' });

const exampleRecommendation = {
  subscriber_type: 'PREPAID', service_type: 'DATA_ADVANCE', advance_amount: 110, revenue_per_advance: 7.83, cluster_group: '3', bad_debt_risk: 'MEDIUM', arpu_avg_6m: 228.64, arpu_growth_rate: -0.4789, arpu_trend: 'DOWN',
  customer_value_score: 58.4, advance_readiness_score: 56.3, priority_score: 57.1,
};
const exampleProfile = {
  kpi_scores: { customer_value: 58.4, advance_readiness: 56.3 }, arpu_stats: { avg: 228.64, median: 201.2, min: 120, max: 410.5, std: 88.2, growth_rate: -0.4789, trend: 'DOWN' }, revenue: { call: 500.1, sms: 20.4, data: 851.3, total: 1371.8 },
  topup: { count: 9, amount_avg: 150, days_between: 20, last_date: '2026-10-12' }, risk: { level: 'MEDIUM', score: 48.1, factors: ['falling_arpu'] }, clustering: { group: '3', name: 'regular' }, insights: { strengths: [], recommendations: ['wait for the next top-up'] },
};
const exampleArpu = [{ month: '2026-09', call: null, sms: null, data: null, total: null }, { month: '2026-10', call: 90.1, sms: 3.2, data: 133.3, total: 226.6 }];
const exampleFreshness = Object.fromEntries(['recommendation', 'profile', 'arpu'].map((block) => [block, { generation: 8, loaded_at: '2026-11-21T19:00:12.000Z', source: 'redis' }]));

const params = z.strictObject({ isdn: isdnText });
const query = z.strictObject({ unmask: unmaskQuery });
const queryWithMonths = query.extend({ months: months.default(12) });
const blocks = { isdn: shownIsdn, recommendation: recommendationSchema, profile: profileSchema, arpu: arpuSchema };
const full = { isdn: '84912***678', recommendation: exampleRecommendation, profile: exampleProfile, arpu: exampleArpu };
const found = 'What is known; 404 where nothing is';

export const getSubscriber = defineOperation({
  operationId: 'getSubscriber', method: 'get', path: '/api/ut360/subscribers/{isdn}', service, scope, summary: 'Recommendation, profile and ARPU of a subscriber',
  description: 'All blocks are of one generation, whatever is loaded meanwhile. POST /api/ut360/lookup does the same without an ISDN in the URL.',
  params, query: queryWithMonths,
  responses: { 200: { description: found, schema: z.object({ ...blocks, freshness: freshnessSchema }).meta({ id: 'Subscriber' }), example: { ...full, freshness: exampleFreshness } } },
});
export const getSubscriberRecommendation = defineOperation({
  operationId: 'getSubscriberRecommendation', method: 'get', path: '/api/ut360/recommendations/{isdn}', service, scope, summary: 'Recommendation of a subscriber', params, query,
  responses: { 200: { description: found, schema: z.object({ isdn: shownIsdn, recommendation: recommendationSchema, freshness: z.object({ recommendation: freshness }) }), example: { isdn: full.isdn, recommendation: exampleRecommendation, freshness: { recommendation: exampleFreshness['recommendation'] } } } },
});
export const getSubscriberProfile = defineOperation({
  operationId: 'getSubscriberProfile', method: 'get', path: '/api/ut360/profiles/{isdn}', service, scope, summary: 'Profile of a subscriber', params, query,
  responses: { 200: { description: found, schema: z.object({ isdn: shownIsdn, profile: profileSchema, freshness: z.object({ profile: freshness }) }), example: { isdn: full.isdn, profile: exampleProfile, freshness: { profile: exampleFreshness['profile'] } } } },
});
export const getSubscriberArpu = defineOperation({
  operationId: 'getSubscriberArpu', method: 'get', path: '/api/ut360/arpu/{isdn}', service, scope, summary: 'Monthly ARPU of a subscriber', params, query: queryWithMonths,
  responses: { 200: { description: found, schema: z.object({ isdn: shownIsdn, arpu: arpuSchema, freshness: z.object({ arpu: freshness }) }), example: { isdn: full.isdn, arpu: exampleArpu, freshness: { arpu: exampleFreshness['arpu'] } } } },
});

const lookedUp = z.object({ index: z.int().meta({ description: 'Place of the ISDN in the request' }), isdn: shownIsdn, recommendation: recommendationSchema, profile: profileSchema, arpu: arpuSchema.optional() });
export const lookupSchema = z.strictObject({
  isdns: z.array(z.string()).min(1).max(LOOKUP_LIMITS.stream).meta({ description: `Up to ${LOOKUP_LIMITS.json} are answered as JSON, more of them as NDJSON` }),
  months: monthCount.optional().meta({ description: 'Months of ARPU; absent: none' }),
  unmask,
});
export const lookupAnswerSchema = z
  .object({
    data: z.array(lookedUp).meta({ description: 'In the order of the request' }),
    missing: z.array(z.object({ index: z.int(), isdn: shownIsdn })),
    invalid: z.array(z.object({ index: z.int(), reason: z.string() })),
    freshness: freshnessSchema,
  })
  .meta({ id: 'LookupAnswer' });
export const lookupSubscribers = defineOperation({
  operationId: 'lookupSubscribers', method: 'post', path: '/api/ut360/lookup', service, scope, timeoutMs: 60_000, summary: 'Many subscribers at once',
  description: `Every answer is of one generation. More than ${LOOKUP_LIMITS.json} ISDNs are answered as application/x-ndjson: one line a subscriber that was found, and a last line with missing, invalid and freshness. The whole answer has a minute.`,
  body: lookupSchema, bodyExample: { isdns: ['0912345678', '0987654321'], months: 2 },
  responses: { 200: { description: 'What was found', otherMediaTypes: ['application/x-ndjson'], schema: lookupAnswerSchema, example: { data: [{ index: 0, ...full }], missing: [{ index: 1, isdn: '84987***321' }], invalid: [], freshness: exampleFreshness } } },
});

const memberListSchema = z
  .object({
    data: z.array(z.object({ isdn: shownIsdn, recommendation: recommendationSchema, profile: profileSchema })),
    total: z.int().meta({ description: 'Subscribers of this kind' }),
    freshness: freshnessSchema,
  })
  .meta({ id: 'SubscriberList' });
const pagedListSchema = memberListSchema.extend({ page: z.object({ next: z.string().nullable() }) }).meta({ id: 'SubscriberPage' });
const listed = { isdn: full.isdn, recommendation: exampleRecommendation, profile: exampleProfile };
/** Nobody has a label with a NUL: Postgres cannot store one. */
const label = z.string().min(1).max(200).refine((text) => !text.includes('\0'), 'must not contain a NUL');

export const topOfService = defineOperation({
  operationId: 'topOfService', method: 'get', path: '/api/ut360/services/{type}/top', service, scope, summary: 'The subscribers of a service with the highest priority',
  params: z.strictObject({ type: label }), query: query.extend({ limit }),
  responses: { 200: { description: 'Highest priority first; empty for a service that nobody has', schema: memberListSchema, example: { data: [listed], total: 53_580, freshness: exampleFreshness } } },
});
const pageQuery = query.extend({ limit: limit.meta({ description: 'About so many: a page may have some more' }), cursor: z.string().max(500).optional().meta({ description: 'page.next of the answer before' }) });
export const subscribersOfRisk = defineOperation({
  operationId: 'subscribersOfRisk', method: 'get', path: '/api/ut360/risk/{level}', service, scope, summary: 'Subscribers of a level of risk',
  params: z.strictObject({ level: z.enum(['LOW', 'MEDIUM', 'HIGH']) }), query: pageQuery,
  responses: { 200: { description: 'A page, in no order', schema: pagedListSchema, example: { data: [listed], total: 82_730, page: { next: null }, freshness: exampleFreshness } } },
});
export const subscribersOfCluster = defineOperation({
  operationId: 'subscribersOfCluster', method: 'get', path: '/api/ut360/clusters/{group}', service, scope, summary: 'Subscribers of a cluster',
  params: z.strictObject({ group: label }), query: pageQuery,
  responses: { 200: { description: 'A page, in no order', schema: pagedListSchema, example: { data: [listed], total: 31_030, page: { next: null }, freshness: exampleFreshness } } },
});

export const subscriberOperations = [getSubscriber, getSubscriberRecommendation, getSubscriberProfile, getSubscriberArpu, lookupSubscribers, topOfService, subscribersOfRisk, subscribersOfCluster] as const;
