import { createRebuildsTable } from '@millrace/projection';
import type { Kysely } from 'kysely';

/** Jobs that build the index anew. */
export const up = (db: Kysely<unknown>): Promise<void> => createRebuildsTable(db, 'search');
