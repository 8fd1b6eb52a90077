import { defineTopic } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';

/**
 * A synonym or a merchandising rule changed: every instance of catalog-api loads what is in force now. A hint that may be lost: instances
 * also ask Postgres for the revision every few seconds.
 */
export const relevanceUpdates = defineTopic(
  'relevance:updates',
  { changed: z.object({ revision: z.int() }) },
  { schemaVersion: 1, maxLength: 1_000, keyOf: () => 'relevance', versionOf: (event) => event.revision },
);
export type RelevanceUpdate = EventOf<typeof relevanceUpdates>;
