import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { newEventSchema, userIdSchema } from './events.ts';
import { pageSchema } from './products.ts';

const common = { service: 'event-ingest', scope: 'ops', audited: true } as const;
/** Goes through every row there is. */
const LONG_MS = 120_000;

/** Bounds of quarantined items: bytes that are kept of one, and days. */
export const QUARANTINE_LIMITS = { rawBytes: 8_192, days: 30 } as const;

const quarantineId = z.string().regex(/^[1-9]\d{0,17}$/, 'must be the id of a quarantined item as a listing shows it').meta({ description: 'Id of a listing', example: '1204' });
const idParams = z.strictObject({ id: quarantineId });
const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time such as 2026-11-02T08:00:00Z' });
const code = z.string().regex(/^[a-z_]{1,40}$/, 'must be a code such as invalid_request').meta({ description: 'Code of the answer that refused it', example: 'invalid_request' });

/** A user id in a query string is text; 123 and "123" are one. */
const filterFields = {
  code: code.optional(),
  user: userIdSchema.optional().meta({ description: 'Items that name this user; needs the scope events:read, too' }),
  since: time.optional().meta({ description: 'Refused at this time or later', example: '2026-11-02T08:00:00Z' }),
  until: time.optional().meta({ description: 'Refused before this time', example: '2026-11-02T09:00:00Z' }),
};
const isRange = ({ since, until }: { since?: string | undefined; until?: string | undefined }): boolean => since === undefined || until === undefined || Date.parse(since) < Date.parse(until);
const range = { path: ['until'], error: 'must be later than since' };

export const quarantineFilterSchema = z.strictObject(filterFields).refine(isRange, range).meta({ id: 'QuarantineFilter', description: 'All that is given must hold; {} = everything in quarantine' });
export type QuarantineFilterBody = z.output<typeof quarantineFilterSchema>;

export const quarantinedSchema = z
  .object({
    id: z.string(),
    received_at: z.string().meta({ description: 'When it was refused; a replay takes it as the time of an event that has none' }),
    route: z.string().meta({ description: 'Where it came in: /api/event or /api/events' }),
    place: z.int().nullable().meta({ description: 'Its index in the list, from 0; null: it came alone' }),
    key_id: z.string().meta({ description: 'The API key that sent it' }),
    event_id: z.string().meta({ description: "Its own, else one that was made up; a replay keeps it, so that a replay twice counts once" }),
    user_id: z.string().nullable().meta({ description: 'Where it can be read; masked without the scope events:read' }),
    code: z.string(),
    pointer: z.string().meta({ description: 'JSON pointer into the item; "" = the item itself' }),
    reason: z.string(),
    bytes: z.int().meta({ description: 'Size of the whole item' }),
    is_cut: z.boolean().meta({ description: `true: only its first ${QUARANTINE_LIMITS.rawBytes} bytes are there; a repair gives it whole` }),
    checked_at: z.string().nullable().meta({ description: 'Last replay that found it still invalid' }),
    repaired_at: z.string().nullable().meta({ description: 'Last repair: it is valid, and waits for a replay' }),
  })
  .meta({ id: 'Quarantined' });
export type QuarantinedBody = z.output<typeof quarantinedSchema>;

export const quarantinedDetailSchema = quarantinedSchema
  .extend({ raw: z.string().meta({ description: 'The item as it came, what looks like a secret replaced by ***; masked without the scope events:read' }) })
  .meta({ id: 'QuarantinedDetail' });
export type QuarantinedDetailBody = z.output<typeof quarantinedDetailSchema>;

const quarantinedExample: QuarantinedBody = {
  id: '1204', received_at: '2026-11-02T08:00:00.000Z', route: '/api/events', place: 7, key_id: 'key_9fX2mQ0b', event_id: 'q-5d0a7ab5-5e9d-4a4c-9b54-3f1f4c8f6b1e', user_id: '123',
  code: 'invalid_request', pointer: '/event_type', reason: 'must be view or click or add_to_cart or purchase or rate', bytes: 54, is_cut: false, checked_at: null, repaired_at: null,
};
const detailExample: QuarantinedDetailBody = { ...quarantinedExample, raw: '{"user_id":123,"asin":"MR-0001","event_type":"hover"}' };

export const listQuarantine = defineOperation({
  ...common, operationId: 'listQuarantine', method: 'get', path: '/api/admin/quarantine', summary: 'List events that were refused as invalid',
  description: 'Their senders were told so at once. Kept for 30 days.',
  query: z
    .strictObject({ ...filterFields, limit: z.coerce.number().int().min(1).max(200).default(50), cursor: z.string().min(1).max(1_000).optional().meta({ description: 'page.next of the answer before' }) })
    .refine(isRange, range),
  responses: {
    200: { description: 'One page, oldest first', schema: z.object({ data: z.array(quarantinedSchema), page: pageSchema }), example: { data: [quarantinedExample], page: { next: null, limit: 50 } } },
  },
});

export const getQuarantined = defineOperation({
  ...common, operationId: 'getQuarantined', method: 'get', path: '/api/admin/quarantine/{id}', summary: 'Read a quarantined event with its text', params: idParams,
  responses: { 200: { description: 'The event', schema: quarantinedDetailSchema, example: detailExample } },
});

export const repairQuarantined = defineOperation({
  ...common, operationId: 'repairQuarantined', method: 'patch', path: '/api/admin/quarantine/{id}', summary: 'Replace a quarantined event by a valid one',
  description: 'The whole event, checked as by POST /api/event and refused likewise. Replay it afterwards: under its own event_id where it names one, else under that of the item.',
  params: idParams, body: z.strictObject({ item: newEventSchema }), bodyExample: { item: { user_id: 123, asin: 'MR-0001', event_type: 'view' } },
  responses: { 200: { description: 'As it is now', schema: quarantinedDetailSchema, example: { ...detailExample, raw: '{"user_id":123,"asin":"MR-0001","event_type":"view"}', repaired_at: '2026-11-02T09:00:00.000Z' } } },
});

/** Exactly one of both: nobody replays or discards everything by leaving something out. */
export const quarantineChoiceSchema = z
  .strictObject({
    ids: z.array(quarantineId).min(1).max(1_000).optional().meta({ description: 'Named ones' }),
    filter: quarantineFilterSchema.optional(),
    dry_run: z.boolean().default(false).meta({ description: 'Only count' }),
  })
  .refine(({ ids, filter }) => ids !== undefined || filter !== undefined, { error: 'must have ids or a filter; {"filter":{}} means everything in quarantine' })
  .refine(({ ids, filter }) => ids === undefined || filter === undefined, { path: ['filter'], error: 'must not be there together with ids' })
  .meta({ id: 'QuarantineChoice' });
export type QuarantineChoiceBody = z.output<typeof quarantineChoiceSchema>;

const changed = {
  count: z.int().meta({ description: 'How many were (in a dry run: would be) changed' }),
  missing: z.array(z.string()).meta({ description: 'Named ones that are not there (any more)' }),
  dry_run: z.boolean(),
};
export const discardedQuarantineSchema = z.object(changed);
export type DiscardedQuarantineBody = z.output<typeof discardedQuarantineSchema>;
export const replayedQuarantineSchema = z.object({
  ...changed,
  still_invalid: z.int().meta({ description: 'How many stayed, with their newest reason' }),
  reasons: z.array(z.object({ id: z.string(), code: z.string(), pointer: z.string(), reason: z.string() })).meta({ description: 'Of the first 20 that stayed' }),
});
export type ReplayedQuarantineBody = z.output<typeof replayedQuarantineSchema>;

const change = { ...common, method: 'post', timeoutMs: LONG_MS, body: quarantineChoiceSchema, bodyExample: { filter: { code: 'invalid_request', since: '2026-11-02T08:00:00Z' }, dry_run: true } } as const;

export const replayQuarantine = defineOperation({
  ...change, operationId: 'replayQuarantine', path: '/api/admin/quarantine/replay', summary: 'Log quarantined events that are valid now',
  description: 'Each goes through the same door as POST /api/event, under its own event id, and leaves the quarantine; what is still invalid stays. Safe to repeat.',
  responses: { 200: { description: 'How many', schema: replayedQuarantineSchema, example: { count: 3, missing: [], still_invalid: 1, reasons: [{ id: '1204', code: 'invalid_request', pointer: '/event_type', reason: quarantinedExample.reason }], dry_run: true } } },
});
export const discardQuarantine = defineOperation({
  ...change, operationId: 'discardQuarantine', path: '/api/admin/quarantine/discard', summary: 'Remove quarantined events for good',
  responses: { 200: { description: 'How many', schema: discardedQuarantineSchema, example: { count: 3, missing: [], dry_run: true } } },
});

export const quarantineOperations = [listQuarantine, getQuarantined, repairQuarantined, replayQuarantine, discardQuarantine] as const;
