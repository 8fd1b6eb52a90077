import { posStatusSchema, syncStatsSchema } from '@millrace/contracts';
import { z } from 'zod';
import { ask } from '../ask.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { sku } from './product-fields.ts';

const nothing = z.strictObject({});

export const posStatus = defineTool({
  name: 'pos_status', title: 'The connection to the point of sale', scopes: ['pos:read'], annotations: READS, limits: READ_LIMITS, input: nothing, output: posStatusSchema.omit({ token: true }),
  description: 'Is the point of sale connected, how much of its quota is used, and when was it synchronised last.',
  run: async (_none, { api, signal }) => await ask('GET /api/pos/status', api.GET('/api/pos/status', { signal })),
});

export const syncStats = defineTool({
  name: 'sync_stats', title: 'State of the search index', scopes: ['admin'], annotations: READS, limits: READ_LIMITS, input: nothing, output: syncStatsSchema,
  description: 'How many products the search index has, when it was last compared with the catalogue, and whether it is being built anew.',
  run: async (_none, { api, signal }) => await ask('GET /api/admin/sync', api.GET('/api/admin/sync', { signal })),
});

export const forceResync = defineTool({
  name: 'force_resync', title: 'Build the search index anew', scopes: ['admin', 'ops'], input: nothing, output: z.object({ started: z.boolean().meta({ description: 'false: one is running already' }) }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false }, limits: { perMinute: 2, perDay: 20 },
  description: 'Builds a new search index beside the live one and swaps them. Heavy: only where the user asks for it; sync_stats shows how far it is.',
  run: async (_none, { api, signal }) => await ask('POST /api/admin/resync', api.POST('/api/admin/resync', { signal })),
});

const part = z.object({ error: z.string().nullable(), version: z.int().nullable() });
const where = z.object({
  sku: z.string(), in_sync: z.boolean().nullable().meta({ description: 'Every store has the version of the catalogue; null: something could not be asked' }), findings: z.array(z.string()).meta({ description: 'In plain words, and what to do' }),
  catalogue: part, search: part, vectors: part, waiting_to_be_published: z.int(), dead_letters: z.int(),
});

export const whereIsSku = defineTool({
  name: 'where_is_sku', title: 'Where a product is', scopes: ['ops'], annotations: READS, limits: READ_LIMITS, input: z.strictObject({ sku }), output: where,
  description: 'Traces a product through database, event stream, search and vectors: says in plain words where it waits, when a change does not show.',
  async run({ sku: wanted }, { api, signal }) {
    const { data: found, origin } = await ask('GET /api/admin/trace/{sku}', api.GET('/api/admin/trace/{sku}', { params: { path: { sku: wanted } }, signal }));
    const { catalogue, search, vectors, bus } = found;
    return {
      origin,
      data: {
        ...found, catalogue: { error: catalogue.error, version: catalogue.found?.row?.version ?? null }, search: { error: search.error, version: search.found?.version ?? null }, vectors: { error: vectors.error, version: vectors.found?.version ?? null },
        waiting_to_be_published: catalogue.found?.outbox.waiting.length ?? 0, dead_letters: bus.found?.dead_letters.length ?? 0,
      },
    };
  },
});
