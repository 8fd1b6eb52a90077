import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';
import { deadLetterSchema } from './streams.ts';

/** `GET /internal/trace/{sku}` of catalog-api. */
export const catalogueTraceSchema = z.object({
  row: z.object({ version: z.int(), content_version: z.int(), status: z.enum(['draft', 'active', 'archived']), deleted: z.boolean(), updated_at: z.string() }).nullable(),
  outbox: z.object({
    waiting: z.array(z.object({ event_type: z.string(), version: z.int().nullable(), created_at: z.string() })).meta({ description: 'Committed and not published yet, oldest first' }),
    published: z.object({ event_id: z.string(), event_type: z.string(), version: z.int().nullable(), created_at: z.string(), published_at: z.string() }).nullable().meta({ description: 'The last event; null: older than a day' }),
  }),
});
export type CatalogueTrace = z.output<typeof catalogueTraceSchema>;

/** `GET /internal/trace/{sku}` of es-sync-worker. */
export const searchTraceSchema = z.object({
  index: z.string().nullable(),
  version: z.int().nullable().meta({ description: 'Version in the index; null = the index has never seen it' }),
  deleted: z.boolean(),
  visible_version: z.int().nullable().meta({ description: 'Version that searches see' }),
  tracked_version: z.int().nullable().meta({ description: 'Version that the sync tracker has as synced; null: none, or Redis is away' }),
});
export type SearchTrace = z.output<typeof searchTraceSchema>;

/** `GET /internal/trace/{sku}` of embedding-worker. */
export const vectorsTraceSchema = z.object({
  collection: z.string().nullable(),
  model: z.string().nullable(),
  version: z.int().nullable(),
  deleted: z.boolean(),
  has_vector: z.boolean(),
  embedded_at: z.string().nullable(),
});
export type VectorsTrace = z.output<typeof vectorsTraceSchema>;

export const busTraceSchema = z.object({
  topic: z.string(),
  streams: z.array(z.object({
    stream: z.string(),
    partition: z.int(),
    entries: z.array(z.object({
      id: z.string(), event_type: z.string(), event_id: z.string(), version: z.int().nullable(), timestamp: z.string(),
      groups: z.array(z.object({ group: z.string(), state: z.enum(['unread', 'pending', 'delayed', 'acknowledged']), consumer: z.string().nullable(), idle_ms: z.number().nullable() })),
    })).meta({ description: 'The last 10, newest first' }),
    is_complete: z.boolean().meta({ description: 'false: there may be older ones' }),
  })),
  dead_letters: z.array(deadLetterSchema),
});
export type BusTrace = z.output<typeof busTraceSchema>;

/** One part, or why it could not be asked. */
const partOf = <S extends z.ZodType>(schema: S) => z.object({ error: z.string().nullable(), found: schema.nullable() });

export const traceSchema = z
  .object({
    sku: skuSchema,
    findings: z.array(z.string()).meta({ description: 'In plain words: is it everywhere, and if not, where it waits and what to do' }),
    in_sync: z.boolean().nullable().meta({ description: 'Every store has the version of the catalogue; null: something could not be asked' }),
    catalogue: partOf(catalogueTraceSchema),
    bus: partOf(busTraceSchema),
    search: partOf(searchTraceSchema),
    vectors: partOf(vectorsTraceSchema),
    cache_keys: z.array(z.object({ service: z.string(), key: z.string() })).meta({ description: 'Cached answers that hold it' }),
  })
  .meta({ id: 'Trace' });
export type TraceBody = z.output<typeof traceSchema>;

const example: TraceBody = {
  sku: 'MR-0001', in_sync: true,
  findings: ['the catalogue has version 1204 (active)', 'search has it at version 1204', 'vectors have it at version 1204, with a vector of model 5f1c0a9be2d34c77'],
  catalogue: { error: null, found: {
    row: { version: 1204, content_version: 1204, status: 'active', deleted: false, updated_at: '2026-11-21T08:00:00.000000Z' },
    outbox: { waiting: [], published: { event_id: '0d2f6a3e-6c0f-4a5f-9a3b-1f2d3c4b5a69', event_type: 'update', version: 1204, created_at: '2026-11-21T08:00:00.000000Z', published_at: '2026-11-21T08:00:00.004000Z' } },
  } },
  bus: { error: null, found: { topic: 'product:updates', dead_letters: [], streams: [{ stream: 'product:updates', partition: 0, is_complete: true, entries: [{
    id: '1795248000004-0', event_type: 'update', event_id: '0d2f6a3e-6c0f-4a5f-9a3b-1f2d3c4b5a69', version: 1204, timestamp: '2026-11-21T08:00:00.000000Z',
    groups: [{ group: 'es-sync-worker', state: 'acknowledged', consumer: null, idle_ms: null }] }] }] } },
  search: { error: null, found: { index: 'products-2', version: 1204, deleted: false, visible_version: 1204, tracked_version: 1204 } },
  vectors: { error: null, found: { collection: 'vectors-2', model: '5f1c0a9be2d34c77', version: 1204, deleted: false, has_vector: true, embedded_at: '2026-11-21T08:00:00.020Z' } },
  cache_keys: [],
};

export const getTrace = defineOperation({
  operationId: 'getTrace', method: 'get', path: '/api/admin/trace/{sku}', service: 'gateway', scope: 'ops', summary: 'Where a product is now: database, outbox, stream, groups, search, vectors, dead letters',
  params: z.strictObject({ sku: skuSchema }),
  responses: { 200: { description: 'Also for a sku that nobody knows', schema: traceSchema, example } },
});

export const traceOperations = [getTrace] as const;
