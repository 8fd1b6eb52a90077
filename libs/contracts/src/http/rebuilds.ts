import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const common = { service: 'gateway', scope: 'ops' } as const;

export const rebuildStoreSchema = z.enum(['search', 'vectors']).meta({ description: 'search: the search index; vectors: the vector store and its model' });
export type RebuildStoreName = z.output<typeof rebuildStoreSchema>;

/** `done`, `failed` and `cancelled` are final; up to `validating` the live store is the one before, from `swapped` on it is the new one. */
export const rebuildPhaseSchema = z.enum(['filling', 'catching_up', 'validating', 'swapped', 'done', 'failed', 'cancelled']);
export type RebuildPhase = z.output<typeof rebuildPhaseSchema>;

export const rebuildReasonSchema = z.enum(['manual', 'definition', 'model', 'first', 'repair', 'rollback']).meta({
  description: 'manual: asked for; definition: the mapping, the format or the dimension changed; model: a new fit is due; first: there was none; repair: the live one is missing or damaged; rollback: the one before is made live again',
});
export type RebuildReason = z.output<typeof rebuildReasonSchema>;

/** One thing that was looked at before the swap. */
export const rebuildCheckSchema = z.object({ check: z.string(), passed: z.boolean(), detail: z.string() });
export type RebuildCheck = z.output<typeof rebuildCheckSchema>;

export const rebuildSchema = z
  .object({
    id: z.string(),
    store: rebuildStoreSchema,
    reason: rebuildReasonSchema,
    phase: rebuildPhaseSchema,
    target: z.string().nullable().meta({ description: 'The physical index or collection that is built; null before it is made' }),
    previous: z.string().nullable().meta({ description: 'The one that was live before the swap' }),
    rows: z.int().meta({ description: 'Products and tombstones handed to the target so far; those that change meanwhile count again' }),
    total: z.int().nullable().meta({ description: 'How many the first pass will have, about; null where nobody knows' }),
    rows_per_second: z.number().nullable().meta({ description: 'Of late; null before the first rows and after the end' }),
    eta_seconds: z.int().nullable().meta({ description: 'Until the first pass is through; null where the total or the rate is unknown' }),
    attempts: z.int().meta({ description: 'How often it was taken up without having come further since' }),
    started_at: z.string(),
    updated_at: z.string(),
    finished_at: z.string().nullable(),
    error: z.string().nullable().meta({ description: 'Why it failed; while it runs: its latest trouble, after which it goes on' }),
    checks: z.array(rebuildCheckSchema).meta({ description: 'What was looked at before the swap; empty before that' }),
    kept_until: z.string().nullable().meta({ description: 'Until when the one before can be made live again' }),
  })
  .meta({ id: 'Rebuild' });
export type Rebuild = z.output<typeof rebuildSchema>;

const example: Rebuild = {
  id: 'search-12', store: 'search', reason: 'manual', phase: 'filling', target: 'search-8', previous: null, rows: 42_000, total: 100_000, rows_per_second: 9400, eta_seconds: 7, attempts: 0,
  started_at: '2026-11-02T08:00:00.000000Z', updated_at: '2026-11-02T08:00:04.500000Z', finished_at: null, error: null, checks: [], kept_until: null,
};
const done: Rebuild = {
  ...example, phase: 'done', previous: 'search-7', rows: 100_012, rows_per_second: null, eta_seconds: null, finished_at: '2026-11-02T08:00:11.000000Z', kept_until: '2026-11-03T08:00:11.000000Z',
  checks: [{ check: 'counts', passed: true, detail: '100000 products are active, the target has 100000' }],
};

export const rebuildIdSchema = z
  .string()
  .regex(/^(?:search|vectors)-[1-9]\d{0,14}$/, 'must be the id of a rebuild as a listing shows it, such as search-12')
  .meta({ description: '`<store>-<number>`', example: 'search-12' });
const params = z.strictObject({ id: rebuildIdSchema });

export const startRebuildBodySchema = z.strictObject({
  store: rebuildStoreSchema,
  force: z.boolean().default(false).meta({ description: 'Swap although golden queries fail. Counts and versions must be right nevertheless' }),
});

export const startRebuild = defineOperation({
  ...common, operationId: 'startRebuild', method: 'post', path: '/api/admin/rebuilds', audited: true, summary: 'Build a store anew beside the live one, validate it and swap',
  description: 'Live changes go into both meanwhile; a killed rebuild goes on where it was. 409 while one of this store is running.',
  body: startRebuildBodySchema, bodyExample: { store: 'search' },
  responses: { 202: { description: 'The job', schema: rebuildSchema, example: { ...example, phase: 'filling', target: null, rows: 0, total: null, rows_per_second: null, eta_seconds: null } } },
});
export const listRebuilds = defineOperation({
  ...common, operationId: 'listRebuilds', method: 'get', path: '/api/admin/rebuilds', summary: 'Rebuilds of both stores, the latest first',
  query: z.strictObject({ store: rebuildStoreSchema.optional(), limit: z.coerce.number().int().min(1).max(100).default(20).meta({ description: 'At most so many of each store' }) }),
  responses: {
    200: {
      description: 'The jobs', example: { data: [example], unavailable: [] },
      schema: z.object({ data: z.array(rebuildSchema), unavailable: z.array(rebuildStoreSchema).meta({ description: 'Stores whose worker cannot be asked now' }) }),
    },
  },
});
export const getRebuild = defineOperation({
  ...common, operationId: 'getRebuild', method: 'get', path: '/api/admin/rebuilds/{id}', summary: 'Read a rebuild: phase, rate, time left, checks', params,
  responses: { 200: { description: 'The job', schema: rebuildSchema, example } },
});
export const cancelRebuild = defineOperation({
  ...common, operationId: 'cancelRebuild', method: 'post', path: '/api/admin/rebuilds/{id}/cancel', audited: true, summary: 'Stop a rebuild before its swap',
  description: 'What was built is removed, the live one goes on. 409 from the swap on.', params,
  responses: { 202: { description: 'The job; it ends within a batch', schema: rebuildSchema, example } },
});
export const rollbackRebuild = defineOperation({
  ...common, operationId: 'rollbackRebuild', method: 'post', path: '/api/admin/rebuilds/{id}/rollback', audited: true, summary: 'Make the one before the swap live again',
  description: 'It is brought up to date and validated first, by a job of its own: nothing stale is shown. 409 where nothing is kept (it is for REBUILD_KEEP_HOURS), another swap came after, or a rebuild is running.', params,
  responses: { 202: { description: 'The job that brings it back', schema: rebuildSchema, example: { ...done, id: 'search-13', reason: 'rollback', phase: 'catching_up' } } },
});

export const rebuildOperations = [startRebuild, listRebuilds, getRebuild, cancelRebuild, rollbackRebuild] as const;

/** The same on the second port of the worker that owns the store; paths below /internal. */
export const internalRebuilds = {
  start: { operationId: 'startRebuild', method: 'post', path: '/rebuilds', scope: 'ops', body: startRebuildBodySchema.omit({ store: true }) },
  list: { operationId: 'listRebuilds', method: 'get', path: '/rebuilds', scope: 'ops', query: z.strictObject({ limit: z.coerce.number().int().min(1).max(100).default(20) }) },
  get: { operationId: 'getRebuild', method: 'get', path: '/rebuilds/{id}', scope: 'ops', params },
  cancel: { operationId: 'cancelRebuild', method: 'post', path: '/rebuilds/{id}/cancel', scope: 'ops', params },
  rollback: { operationId: 'rollbackRebuild', method: 'post', path: '/rebuilds/{id}/rollback', scope: 'ops', params },
} as const;
