import { createVerificationTable } from '@millrace/projection';
import type { Kysely } from 'kysely';

/** The last verification of the store against the catalogue. */
export const up = (db: Kysely<unknown>): Promise<void> => createVerificationTable(db, { schema: 'search' });
