import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Services that write products, and the largest fencing number of each that was seen: a write with a smaller one is refused. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table catalog.writers (
    source text primary key,
    fence bigint not null)`.execute(db);
}
