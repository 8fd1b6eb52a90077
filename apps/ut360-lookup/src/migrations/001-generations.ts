import { generationTableStatements } from '@millrace/subscribers';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** What is told of generations, and the empty ones that everything begins with. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of generationTableStatements()) await sql.raw(statement).execute(db);
}
