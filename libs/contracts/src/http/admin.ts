import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const service = 'es-sync-worker';

export const syncStatsSchema = z.object({
  index: z.string().nullable().meta({ description: 'The live physical index' }),
  total_synced: z.int().meta({ description: 'Skus that the tracker has as synced' }),
  redis_healthy: z.boolean(),
  documents: z.int().nullable().meta({ description: 'Documents in the live index; null where the engine does not answer' }),
  last_sweep: z.object({ started_at: z.string(), finished_at: z.string(), seen: z.int(), indexed: z.int() }).nullable(),
  resync: z.object({ running: z.boolean(), index: z.string().nullable(), done: z.int(), error: z.string().nullable() }),
});
export type SyncStats = z.output<typeof syncStatsSchema>;
const statsExample: SyncStats = {
  index: 'search-1', total_synced: 2000, redis_healthy: true, documents: 2000,
  last_sweep: { started_at: '2026-11-02T08:00:00.000000Z', finished_at: '2026-11-02T08:00:00.100000Z', seen: 3, indexed: 0 },
  resync: { running: false, index: null, done: 0, error: null },
};

export const getSync = defineOperation({
  operationId: 'getSync', method: 'get', path: '/api/admin/sync', service, scope: 'admin', summary: 'State of the search sync', query: z.strictObject({}),
  responses: { 200: { description: 'Statistics', schema: syncStatsSchema, example: statsExample } },
});
export const clearSync = defineOperation({
  operationId: 'clearSync', method: 'delete', path: '/api/admin/sync', service, scope: 'admin', audited: true, summary: 'Clear the sync tracker: the next sweep checks everything again',
  responses: { 200: { description: 'Cleared', schema: z.object({ cleared: z.int() }), example: { cleared: 2000 } } },
});
export const startResync = defineOperation({
  operationId: 'startResync', method: 'post', path: '/api/admin/resync', service, scope: 'admin', audited: true, summary: 'Build a new search index beside the live one and swap',
  responses: { 202: { description: 'Started, or already running; see GET /api/admin/sync', schema: z.object({ started: z.boolean() }), example: { started: true } } },
});

export const adminOperations = [getSync, clearSync, startResync] as const;
