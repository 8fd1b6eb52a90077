import { createInboxTable } from '@millrace/outbox';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** How often was searched for what, by day (UTC), and the events of the search log that are counted already. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createInboxTable(db, { schema: 'catalog' });
  // The query '' is all those of a day that came after its distinct queries had become too many.
  await sql`create table catalog.search_counts (
    day date not null,
    query text collate "C" not null,
    searches bigint not null check (searches > 0),
    no_hits bigint not null check (no_hits between 0 and searches),
    last_at timestamptz not null,
    primary key (day, query))`.execute(db);
}
