import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** What the schedule did, and the largest fencing number that was seen: a run with a smaller one makes nothing live. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table ut360.schedule (
    only_one boolean primary key default true check (only_one),
    fence bigint not null default 0,
    pattern text,
    time_zone text,
    since timestamptz)`.execute(db);
  await sql`insert into ut360.schedule default values`.execute(db);
  await sql`create table ut360.schedule_runs (
    id bigint generated always as identity primary key,
    due_at timestamptz not null,
    fence bigint not null,
    state text not null check (state in ('running', 'loaded', 'nothing', 'waiting', 'refused', 'failed', 'stopped', 'abandoned')),
    report jsonb not null default '{}',
    started_at timestamptz not null default now(),
    ended_at timestamptz)`.execute(db);
  await sql`create index schedule_runs_due on ut360.schedule_runs (due_at)`.execute(db);
}
