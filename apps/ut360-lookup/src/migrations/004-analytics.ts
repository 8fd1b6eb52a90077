import { analyticsTableStatements } from '@millrace/subscribers';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Counts and sums of each set. Those of sets that are there are computed when they are asked for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of analyticsTableStatements()) await sql.raw(statement).execute(db);
}
