import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Experiments, the lists that were shown in them, and the clicks and purchases that count in them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table recs.experiments (
    key text primary key,
    description text not null,
    status text not null default 'draft' check (status in ('draft', 'running', 'stopped')),
    variants jsonb not null,
    audience double precision not null,
    conversion_days integer not null,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    stopped_at timestamptz)`.execute(db);
  // One row, raised by every change: what instances look at, and the lock that makes changes one after the other.
  await sql`create table recs.experiment_state (only_row boolean primary key default true check (only_row), revision bigint not null default 0)`.execute(db);
  await sql`insert into recs.experiment_state default values`.execute(db);
  await sql`create table recs.experiment_lists (
    experiment text not null,
    ranking_id uuid not null,
    user_id text not null,
    variant text not null,
    served_at timestamptz not null,
    seen boolean not null default false,
    primary key (experiment, ranking_id))`.execute(db);
  await sql`create index experiment_lists_user on recs.experiment_lists (user_id)`.execute(db);
  await sql`create index experiment_lists_ranking on recs.experiment_lists (ranking_id) where not seen`.execute(db);
  await sql`create index experiment_lists_served_at on recs.experiment_lists (served_at)`.execute(db);
  // Events may come before the list that they are about is written: no foreign key. The id of an event is new each month.
  await sql`create table recs.experiment_events (
    event_id text not null,
    month text not null,
    user_id text not null,
    kind text not null check (kind in ('click', 'purchase')),
    ranking_id uuid,
    happened_at timestamptz not null,
    primary key (event_id, month))`.execute(db);
  await sql`create index experiment_events_user on recs.experiment_events (user_id, happened_at)`.execute(db);
  await sql`create index experiment_events_ranking on recs.experiment_events (ranking_id) where ranking_id is not null`.execute(db);
  await sql`create index experiment_events_happened_at on recs.experiment_events (happened_at)`.execute(db);
}
