import { defineTopic } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';

/**
 * A derived store changed and readers can see it. Producers: es-sync-worker (search), embedding-worker (vectors),
 * catalog-api (synonyms and rules). Consumers purge cached answers; with `all` every one of that store: a swap of the whole index, or other rules.
 */
export const indexUpdates = defineTopic(
  'index:updates',
  {
    changed: z.object({
      store: z.enum(['search', 'vectors']),
      items: z.array(z.object({ sku: z.string(), version: z.int(), categories: z.array(z.string()) })),
    }),
    swapped: z.object({ store: z.enum(['search', 'vectors']), index: z.string(), all: z.literal(true) }),
    retuned: z.object({ store: z.literal('search'), revision: z.int(), all: z.literal(true) }),
  },
  { schemaVersion: 1, maxLength: 10_000, keyField: 'store', keyOf: (event) => event.store },
);
export type IndexUpdate = EventOf<typeof indexUpdates>;
