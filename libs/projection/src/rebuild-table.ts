import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** For a service's migration: its table of rebuild jobs. At most one job is unfinished at a time. */
export async function createRebuildsTable(db: Kysely<unknown>, schema: string): Promise<void> {
  await sql`create table ${sql.id(schema, 'rebuilds')} (
    id bigint generated always as identity primary key,
    reason text not null,
    phase text not null default 'filling',
    force boolean not null default false,
    target text,
    previous text,
    checkpoint jsonb not null default '{}',
    built_from text,
    target_made_at timestamptz,
    rows bigint not null default 0,
    total bigint,
    rows_per_second real,
    runner uuid,
    attempts integer not null default 0,
    cancel_requested boolean not null default false,
    error text,
    checks jsonb not null default '[]',
    started_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    kept_until timestamptz)`.execute(db);
  await sql`create unique index rebuilds_one_running on ${sql.id(schema, 'rebuilds')} ((true)) where finished_at is null`.execute(db);
}
