import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Users, the items projection, the log of interactions by month, merged ids, and events that Redis has not got yet. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create type events.interaction_type as enum ('view', 'click', 'add_to_cart', 'purchase', 'rate')`,
  `create table events.users (
     user_id text collate "C" primary key check (user_id <> ''),
     first_seen_at timestamptz not null default now())`,
  // Version 0: a stub, for an item that events name and the catalogue has not told of yet.
  `create table events.items (
     sku text collate "C" primary key check (sku <> ''),
     version bigint not null default 0,
     category text,
     brand text,
     is_deleted boolean not null default false)`,
  `create table events.user_aliases (
     alias text collate "C" primary key,
     user_id text collate "C" not null references events.users (user_id),
     merged_at timestamptz not null default now(),
     check (alias <> user_id))`,
  'create index user_aliases_user on events.user_aliases (user_id)',
  'create sequence events.interaction_ids cache 100',
  // month: the first day of the month of ts, taken once at the door, so that an event keeps its partition however often it is delivered.
  `create table events.interaction_logs (
     id bigint not null default nextval('events.interaction_ids'),
     event_id text collate "C" not null,
     user_id text collate "C" not null references events.users (user_id),
     asin text collate "C" not null references events.items (sku),
     event_type events.interaction_type not null,
     ts timestamptz not null,
     session_id text,
     ranking_id text,
     rating real check (rating between 1 and 5),
     metadata jsonb not null,
     month date not null,
     primary key (month, event_id)
   ) partition by list (month)`,
  'create index interaction_logs_user on events.interaction_logs (user_id, ts desc)',
  `create table events.deferred_events (
     seq bigint generated always as identity primary key,
     event text not null,
     created_at timestamptz not null default now()
   ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
];
