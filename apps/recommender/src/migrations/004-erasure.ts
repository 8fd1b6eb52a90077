import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Names of users that were merged, as event-ingest told, and HMACs of erased ones: kept for ever. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table recs.user_aliases (
    alias text collate "C" primary key,
    user_id text collate "C" not null,
    check (alias <> user_id))`.execute(db);
  await sql`create index user_aliases_user on recs.user_aliases (user_id)`.execute(db);
  await sql`create table recs.erased (
    hmac text collate "C" primary key,
    erased_at timestamptz not null default now())`.execute(db);
}
