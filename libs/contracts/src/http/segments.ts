import { z } from 'zod';
import { NOT_STORABLE, isStorable } from '../json-limits.ts';
import { defineOperation } from '../operation.ts';
import { pageSchema } from './products.ts';
import { segmentNumberFields, segmentQuerySchema, segmentTextFields } from './segment-query.ts';
import type { SegmentQuery } from './segment-query.ts';

const service = 'ut360-lookup';
const read = 'ut360:read';
const write = 'ut360:write';

/** What an export can show: the ISDN and every field of a recommendation. */
export const segmentColumns = ['isdn', ...segmentTextFields, ...segmentNumberFields] as const;
export type SegmentColumn = (typeof segmentColumns)[number];

/** How many may be saved, and by how many columns they may be ordered. */
export const SEGMENT_LIMITS = { segments: 1_000, order: 3, rows: 100_000_000 } as const;
/** The id of the segment that ships: the field's campaign query. */
export const CAMPAIGN_SEGMENT = 1;

const text = (least: number, most: number) => z.string().trim().min(least).max(most).refine(isStorable, NOT_STORABLE);
const orderSchema = z.strictObject({ field: z.enum(segmentColumns), direction: z.enum(['asc', 'desc']).default('asc') });
const distinct = <T>(list: readonly T[], keyOf: (item: T) => string, ctx: z.RefinementCtx): void => {
  const seen = new Set<string>();
  for (const [at, item] of list.entries()) if (seen.size === seen.add(keyOf(item)).size) ctx.addIssue({ code: 'custom', path: [at], message: 'is in the list already' });
};
const columnList = z.array(z.enum(segmentColumns)).min(1).superRefine((list, ctx) => distinct(list, (name) => name, ctx));
const rowLimit = z.int().min(1).max(SEGMENT_LIMITS.rows);

/** Body of a saved segment. */
export const newSegmentSchema = z
  .strictObject({
    name: text(1, 100).meta({ description: 'Unique, whatever its case', example: 'low risk, high value' }),
    description: text(0, 1_000).default(''),
    query: segmentQuerySchema,
    order_by: z.array(orderSchema).max(SEGMENT_LIMITS.order).superRefine((list, ctx) => distinct(list, ({ field }) => field, ctx)).default([]).meta({ description: 'Absent values come last, equal ones by ISDN' }),
    limit: rowLimit.nullable().default(null).meta({ description: 'Most rows of an export; null: all' }),
    columns: columnList.default(['isdn']).meta({ description: 'Columns of an export, unless it names others' }),
  })
  .meta({ id: 'NewSegment' });
export type NewSegment = z.output<typeof newSegmentSchema>;

const countSchema = z.object({ count: z.int().meta({ description: 'Subscribers that match, whatever the limit' }), generation: z.int().meta({ description: 'Of the recommendations' }), counted_at: z.string() });
export const segmentSchema = z
  .object({
    id: z.int(), version: z.int().meta({ description: 'Grows with every change; it is in the ETag' }),
    name: z.string(), description: z.string(), query: segmentQuerySchema,
    order_by: z.array(z.object({ field: z.enum(segmentColumns), direction: z.enum(['asc', 'desc']) })),
    limit: z.int().nullable(), columns: z.array(z.enum(segmentColumns)),
    is_shipped: z.boolean().meta({ description: 'Comes with Millrace: it can neither be changed nor deleted' }),
    created_by: z.string().meta({ description: 'Id of the key' }), created_at: z.string(), updated_at: z.string(),
    last_count: countSchema.nullable().meta({ description: 'Null: never counted' }),
  })
  .meta({ id: 'Segment' });
export type Segment = z.output<typeof segmentSchema>;

const freshness = z.object({ recommendation: z.object({ generation: z.int(), loaded_at: z.string().nullable(), source: z.enum(['memory', 'postgres']) }) });
export const segmentCountSchema = z
  .object({ count: z.int().meta({ description: 'Exact' }), total: z.int().meta({ description: 'Subscribers with a recommendation' }), freshness })
  .meta({ id: 'SegmentCount' });
export type SegmentCount = z.output<typeof segmentCountSchema>;

const campaignQuery: SegmentQuery = {
  and: [
    { field: 'bad_debt_risk', op: 'eq', value: 'LOW' },
    { field: 'customer_value_score', op: 'gte', value: 70 },
    { field: 'advance_readiness_score', op: 'gte', value: 80 },
  ],
};
/** The segment that ships. */
export const campaignSegment: NewSegment = {
  name: 'campaign', description: 'Advances for subscribers of low risk, high value and high readiness, the highest priority first', query: campaignQuery,
  order_by: [{ field: 'priority_score', direction: 'desc' }], limit: 10_000, columns: ['isdn', 'advance_amount', 'revenue_per_advance', 'customer_value_score'],
};
const segmentExample: Segment = {
  id: CAMPAIGN_SEGMENT, version: 1, ...campaignSegment, is_shipped: true, created_by: 'millrace', created_at: '2026-11-22T02:00:00.000Z', updated_at: '2026-11-22T02:00:00.000Z',
  last_count: { count: 15_082, generation: 8, counted_at: '2026-11-22T08:00:00.000Z' },
};
const newExample = { name: 'postpaid or valuable', query: { or: [{ field: 'subscriber_type', op: 'eq', value: 'POSTPAID' }, { field: 'arpu_avg_6m', op: 'between', value: [300, 900] }] }, order_by: [{ field: 'arpu_avg_6m', direction: 'desc' as const }] };

const params = z.strictObject({ id: z.coerce.number().int().positive().max(2_147_483_647) });
const headers = z.object({ 'if-match': z.string().optional().meta({ description: 'ETag as you know it: refused with 412 if it has changed since. Without it the last writer wins', example: '"17.17"' }) });

export const previewSegment = defineOperation({
  operationId: 'previewSegment', method: 'post', path: '/api/ut360/segments/preview', service, scope: read, summary: 'How many subscribers match a query',
  description: 'Exact, and of one generation, whatever is loaded meanwhile.',
  body: z.strictObject({ query: segmentQuerySchema }), bodyExample: { query: campaignQuery },
  responses: { 200: { description: 'The number', schema: segmentCountSchema, example: { count: 15_082, total: 214_000, freshness: { recommendation: { generation: 8, loaded_at: '2026-11-21T19:00:12.000Z', source: 'memory' } } } } },
});
export const listSegments = defineOperation({
  operationId: 'listSegments', method: 'get', path: '/api/ut360/segments', service, scope: read, summary: 'List saved segments',
  query: z.strictObject({ cursor: z.string().max(1_000).optional().meta({ description: 'page.next of the answer before' }), limit: z.coerce.number().int().min(1).max(500).default(100) }),
  responses: { 200: { description: 'One page by id', schema: z.object({ data: z.array(segmentSchema), page: pageSchema }), example: { data: [segmentExample], page: { next: null, limit: 100 } } } },
});
export const createSegment = defineOperation({
  operationId: 'createSegment', method: 'post', path: '/api/ut360/segments', service, scope: write, audited: true, summary: 'Save a segment', body: newSegmentSchema, bodyExample: newExample,
  responses: { 201: { description: 'Saved, and counted where that is possible now; ETag and Location are set', schema: segmentSchema, example: segmentExample } },
});
export const getSegment = defineOperation({
  operationId: 'getSegment', method: 'get', path: '/api/ut360/segments/{id}', service, scope: read, summary: 'Read a saved segment', description: 'Counts it again where last_count is of another generation than the live one, or somebody was erased since.', params,
  responses: { 200: { description: 'The segment', schema: segmentSchema, example: segmentExample } },
});
export const replaceSegment = defineOperation({
  operationId: 'replaceSegment', method: 'put', path: '/api/ut360/segments/{id}', service, scope: write, audited: true, summary: 'Replace a saved segment', params, headers, body: newSegmentSchema, bodyExample: newExample,
  responses: { 200: { description: 'The segment as it is now', schema: segmentSchema, example: segmentExample } },
});
export const deleteSegment = defineOperation({
  operationId: 'deleteSegment', method: 'delete', path: '/api/ut360/segments/{id}', service, scope: write, audited: true, summary: 'Delete a saved segment', params, headers,
  responses: { 204: { description: 'Deleted' } },
});

export const exportSegment = defineOperation({
  operationId: 'exportSegment', method: 'get', path: '/api/ut360/segments/{id}/export', service, scope: read, audited: true, isDownload: true, timeoutMs: 30_000, summary: 'Rows of a saved segment as CSV or NDJSON',
  description:
    'Needs pii:read, too. All rows count against the daily quota of the key before the first is sent, and all are of one generation. X-Row-Count is how many will come; an answer that broke off has fewer, and its connection ends without the last chunk; NDJSON ends with {"type":"end","rows":…}. ' +
    "Text cells of CSV that begin with = + - @ tab or line end get an apostrophe in front, so that no spreadsheet takes them for a formula; numbers stay numbers. NDJSON has texts byte for byte.",
  params,
  query: z.strictObject({
    format: z.enum(['csv', 'ndjson']).default('csv'),
    limit: z.coerce.number().pipe(rowLimit).optional().meta({ description: "Most rows; the segment's own limit holds, too" }),
    columns: z.string().max(1_000).transform((names) => names.split(',')).pipe(columnList).optional().meta({ description: "Separated by commas; default: the segment's", example: 'isdn,advance_amount' }),
  }),
  responses: { 200: { description: 'text/csv or application/x-ndjson', mediaType: 'text/csv', otherMediaTypes: ['application/x-ndjson'], schema: z.string(), example: 'isdn,advance_amount,revenue_per_advance,customer_value_score\n84912345678,110,7.83,88.4\n' } },
});

export const segmentOperations = [previewSegment, listSegments, createSegment, getSegment, replaceSegment, deleteSegment, exportSegment] as const;
