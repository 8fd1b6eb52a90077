import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Replies to requests with an Idempotency-Key, kept for 24 h. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table catalog.idempotency_keys (
    key text primary key,
    fingerprint text not null,
    reply jsonb,
    locked_until timestamptz not null,
    created_at timestamptz not null default now())`.execute(db);
  await sql`create index idempotency_keys_created_at on catalog.idempotency_keys (created_at)`.execute(db);
}
