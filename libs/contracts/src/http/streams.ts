import { z } from 'zod';
import { isNestedDeeper } from '../json-limits.ts';
import { defineOperation } from '../operation.ts';
import { pageSchema } from './products.ts';

const common = { service: 'gateway', scope: 'ops' } as const;
/** Looks at every letter there is: about 100,000 of each group on each partition. */
const LONG_MS = 120_000;
const MAX_DEPTH = 50;

const name = z.string().min(1).max(200);
const topicName = name.meta({ description: 'A topic', example: 'product:updates' });
const groupName = name.meta({ description: 'A consumer group', example: 'es-sync-worker' });
const dryRun = z.stringbool().default(false).meta({ description: 'Only tell what would be done' });

export const groupStateSchema = z
  .object({
    group: z.string(),
    pending: z.int().meta({ description: 'Read and not acknowledged, by any consumer; delayed ones are among them' }),
    unread: z.int(),
    delayed: z.int().meta({ description: 'Put off, to be tried again later' }),
    oldest_age_ms: z.number().meta({ description: 'Age of the oldest entry that is not acknowledged; 0 = none' }),
    dead_letters: z.int(),
    bootstrap: z.enum(['none', 'done', 'needs-bootstrap', 'bootstrapping']).meta({ description: 'none: the group takes nothing from an export' }),
    holder: z.string().nullable().meta({ description: 'The consumer that holds the partition; null where consumers compete' }),
    consumers: z.array(z.object({ consumer: z.string(), pending: z.int(), idle_ms: z.number() })),
  })
  .meta({ id: 'GroupState' });

export const topicStateSchema = z
  .object({
    topic: z.string(),
    partitions: z.int(),
    streams: z.array(
      z.object({
        stream: z.string().meta({ description: 'Key in Redis' }),
        partition: z.int().meta({ description: "The topic's number for it" }),
        is_draining: z.boolean().meta({ description: 'true: nothing is appended any more; it goes when every group has finished it' }),
        length: z.int(),
        bytes: z.int().meta({ description: "In Redis' memory, estimated by a sample" }),
        first_id: z.string().nullable(),
        last_id: z.string().nullable(),
        groups: z.array(groupStateSchema),
      }),
    ),
  })
  .meta({ id: 'TopicState' });
export type TopicStateBody = z.output<typeof topicStateSchema>;

const topicExample: TopicStateBody = {
  topic: 'product:updates', partitions: 1,
  streams: [{
    stream: 'product:updates', partition: 0, is_draining: false, length: 2000, bytes: 3_145_728, first_id: '1793606400000-0', last_id: '1793606465000-3',
    groups: [{
      group: 'es-sync-worker', pending: 1, unread: 12, delayed: 1, oldest_age_ms: 5200, dead_letters: 3, bootstrap: 'done', holder: null,
      consumers: [{ consumer: 'worker-1', pending: 1, idle_ms: 40 }],
    }],
  }],
};

export const listStreams = defineOperation({
  ...common, operationId: 'listStreams', method: 'get', path: '/api/admin/streams', summary: 'Topics, their partitions and their groups',
  responses: { 200: { description: 'Every topic', schema: z.object({ topics: z.array(topicStateSchema) }), example: { topics: [topicExample] } } },
});

export const dropGroup = defineOperation({
  ...common, operationId: 'dropGroup', method: 'delete', path: '/api/admin/streams/groups/{group}', audited: true, summary: 'Remove a consumer group that is no longer read',
  description: 'It holds nothing back any more. 409 while a consumer of it was seen in the last minute, or while dead letters wait; `force` drops it nevertheless, and its dead letters with it.',
  params: z.strictObject({ group: groupName }),
  query: z.strictObject({ topic: topicName.optional().meta({ description: 'Only from this topic; default: from all that have it' }), force: z.stringbool().default(false), dry_run: dryRun }),
  responses: {
    200: {
      description: 'What was (in a dry run: would be) dropped',
      schema: z.object({ dropped: z.array(z.object({ topic: z.string(), group: z.string(), pending: z.int(), unread: z.int() })) }),
      example: { dropped: [{ topic: 'product:updates', group: 'stock-watch', pending: 0, unread: 1200 }] },
    },
  },
});

export const repartitionTopic = defineOperation({
  ...common, operationId: 'repartitionTopic', method: 'post', path: '/api/admin/streams/{topic}/repartition', audited: true, summary: 'Give a topic another number of partitions',
  description: 'Publishers append to the new ones at once, consumers finish the old ones first, so that the order of each key is kept. 409 while an earlier change is draining. BUS_PARTITIONS of the services, where it is set, must say the same.',
  params: z.strictObject({ topic: topicName }), body: z.strictObject({ partitions: z.int().min(1).max(256) }), bodyExample: { partitions: 4 },
  responses: { 200: { description: 'The topic as it is now', schema: topicStateSchema, example: topicExample } },
});

export const streamOperations = [listStreams, dropGroup, repartitionTopic] as const;

const deadLetterId = z
  .string()
  .max(1_000)
  .regex(/^[^~]+~(?:bare|\d{1,6})~[^~]+~\d+-\d+$/, 'must be the id of a dead letter as a listing shows it')
  .meta({ description: '`<topic>~<partition>~<group>~<entry>`', example: 'product:updates~bare~es-sync-worker~1793606400000-0' });
const idParams = z.strictObject({ id: deadLetterId });
const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time such as 2026-11-02T08:00:00Z' });

const filterFields = {
  topic: topicName.optional(),
  group: groupName.optional(),
  reason: z.string().min(1).max(500).optional().meta({ description: 'Part of the reason, whatever its case', example: 'price' }),
  key: z.string().min(1).max(1_000).optional().meta({ description: 'The ordering key, whole', example: 'MR-0001' }),
  since: time.optional().meta({ description: 'Parked at this time or later', example: '2026-11-02T08:00:00Z' }),
  until: time.optional().meta({ description: 'Parked before this time', example: '2026-11-02T09:00:00Z' }),
};
const isRange = ({ since, until }: { since?: string | undefined; until?: string | undefined }): boolean => since === undefined || until === undefined || Date.parse(since) < Date.parse(until);
const range = { path: ['until'], error: 'must be later than since' };

export const deadLetterFilterSchema = z.strictObject(filterFields).refine(isRange, range).meta({ id: 'DeadLetterFilter', description: 'All that is given must hold; {} = every dead letter' });
export type DeadLetterFilterBody = z.output<typeof deadLetterFilterSchema>;

export const deadLetterSchema = z
  .object({
    id: z.string(),
    topic: z.string(),
    partition: z.int(),
    group: z.string(),
    reason: z.string(),
    source_id: z.string().meta({ description: "The entry's id in the stream" }),
    consumer: z.string(),
    attempts: z.int(),
    first_seen: z.string(),
    last_seen: z.string(),
    event_type: z.string().nullable(),
    event_id: z.string().nullable().meta({ description: "The event's own id, which a replay keeps" }),
    key: z.string().nullable().meta({ description: 'The ordering key; masked where the topic is personal' }),
  })
  .meta({ id: 'DeadLetter' });
export type DeadLetterBody = z.output<typeof deadLetterSchema>;

export const deadLetterDetailSchema = deadLetterSchema
  .extend({ fields: z.record(z.string(), z.string()).meta({ description: "The entry's own fields as they were on the stream; key and `data` are masked where the topic is personal" }) })
  .meta({ id: 'DeadLetterDetail' });
export type DeadLetterDetailBody = z.output<typeof deadLetterDetailSchema>;

const letterExample: DeadLetterBody = {
  id: 'product:updates~bare~es-sync-worker~1793606401200-0', topic: 'product:updates', partition: 0, group: 'es-sync-worker', reason: 'unparsable: payload does not match its schema at product.price',
  source_id: '1793606400000-0', consumer: 'worker-1', attempts: 5, first_seen: '2026-11-02T08:00:00.000Z', last_seen: '2026-11-02T08:00:01.200Z',
  event_type: 'update', event_id: '5d0a7ab5-5e9d-4a4c-9b54-3f1f4c8f6b1e', key: 'MR-0001',
};
const detailExample: DeadLetterDetailBody = {
  ...letterExample,
  fields: { event_type: 'update', product_id: 'MR-0001', timestamp: '2026-11-02T08:00:00.000000Z', data: '{"sku":"MR-0001","price":"free"}', id: '5d0a7ab5-5e9d-4a4c-9b54-3f1f4c8f6b1e', version: '1204', schema: '1' },
};

export const listDeadLetters = defineOperation({
  ...common, operationId: 'listDeadLetters', method: 'get', path: '/api/admin/dead-letters', audited: true, summary: 'List events that a group could not handle', timeoutMs: LONG_MS,
  query: z
    .strictObject({ ...filterFields, limit: z.coerce.number().int().min(1).max(200).default(50), cursor: z.string().min(1).max(1_000).optional().meta({ description: 'page.next of the answer before' }) })
    .refine(isRange, range),
  responses: {
    200: { description: 'One page, oldest first in each group', schema: z.object({ data: z.array(deadLetterSchema), page: pageSchema }), example: { data: [letterExample], page: { next: null, limit: 50 } } },
  },
});

export const getDeadLetter = defineOperation({
  ...common, operationId: 'getDeadLetter', method: 'get', path: '/api/admin/dead-letters/{id}', audited: true, summary: 'Read a dead letter with the fields of its entry', params: idParams,
  responses: { 200: { description: 'The dead letter', schema: deadLetterDetailSchema, example: detailExample } },
});

export const editDeadLetter = defineOperation({
  ...common, operationId: 'editDeadLetter', method: 'patch', path: '/api/admin/dead-letters/{id}', audited: true, summary: "Replace a dead letter's data",
  description: "The wire's `data` is replaced as a whole, after it was checked by the topic's schema. The letter gets a new id. Replay it afterwards.",
  params: idParams,
  body: z.strictObject({
    data: z.unknown().refine((value) => value !== undefined, { error: 'is required' }).refine((value) => !isNestedDeeper(value, MAX_DEPTH), { error: `is nested deeper than ${MAX_DEPTH} levels` }),
  }),
  bodyExample: { data: { sku: 'MR-0001', price: 19.9 } },
  responses: { 200: { description: 'The letter as it is now, under its new id', schema: deadLetterDetailSchema, example: detailExample } },
});

/** Exactly one of both: nobody replays or discards everything by leaving something out. */
export const deadLetterChoiceSchema = z
  .strictObject({
    ids: z.array(deadLetterId).min(1).max(1_000).optional().meta({ description: 'Named ones' }),
    filter: deadLetterFilterSchema.optional(),
    dry_run: z.boolean().default(false).meta({ description: 'Only count' }),
  })
  .refine(({ ids, filter }) => ids !== undefined || filter !== undefined, { error: 'must have ids or a filter; {"filter":{}} means every dead letter' })
  .refine(({ ids, filter }) => ids === undefined || filter === undefined, { path: ['filter'], error: 'must not be there together with ids' })
  .meta({ id: 'DeadLetterChoice' });
export type DeadLetterChoiceBody = z.output<typeof deadLetterChoiceSchema>;

export const changedDeadLettersSchema = z.object({
  count: z.int().meta({ description: 'How many were (in a dry run: would be) changed' }),
  missing: z.array(z.string()).meta({ description: 'Named ones that are not there (any more)' }),
  dry_run: z.boolean(),
});
export type ChangedDeadLettersBody = z.output<typeof changedDeadLettersSchema>;

const change = {
  ...common, method: 'post', audited: true, timeoutMs: LONG_MS, body: deadLetterChoiceSchema,
  bodyExample: { filter: { group: 'es-sync-worker', reason: 'price' }, dry_run: true },
  responses: { 200: { description: 'How many', schema: changedDeadLettersSchema, example: { count: 3, missing: [], dry_run: true } } },
} as const;

export const replayDeadLetters = defineOperation({
  ...change, operationId: 'replayDeadLetters', path: '/api/admin/dead-letters/replay', summary: 'Append events to their topic again and remove their dead letters',
  description: 'Under their own ids, for every group: handlers are idempotent. Safe to repeat.',
});
export const discardDeadLetters = defineOperation({
  ...change, operationId: 'discardDeadLetters', path: '/api/admin/dead-letters/discard', summary: 'Remove dead letters for good',
  description: 'Their events stay missing in that group.',
});

export const deadLetterOperations = [listDeadLetters, getDeadLetter, editDeadLetter, replayDeadLetters, discardDeadLetters] as const;
