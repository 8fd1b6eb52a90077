import { erasureTableStatements } from '@millrace/subscribers';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Who was erased, as HMACs. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of erasureTableStatements()) await sql.raw(statement).execute(db);
}
