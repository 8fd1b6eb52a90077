import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Rebuilds of the counts: which generation of Redis keys came out, and how far the one before was off. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table recs.rebuilds (
    id bigint generated always as identity primary key,
    reason text not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    generation text,
    events bigint,
    users bigint,
    drift jsonb,
    error text)`.execute(db);
  await sql`create index rebuilds_started_at on recs.rebuilds (started_at)`.execute(db);
}
