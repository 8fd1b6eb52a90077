import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Counts by time (UTC), rolled up from Redis; what has been rolled up; nothing in them is personal. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create type events.granularity as enum ('minute', 'hour', 'day')`,
  // bucket: its beginning. Minutes and hours are kept for a time, days for ever.
  `create table events.analytics_counts (
     granularity events.granularity not null,
     bucket timestamptz not null,
     kind text collate "C" not null,
     count bigint not null,
     primary key (granularity, bucket, kind)
   ) with (fillfactor = 70)`,
  // Hours as long as minutes: one row for each product of each hour.
  `create table events.analytics_products (
     granularity events.granularity not null check (granularity <> 'minute'),
     bucket timestamptz not null,
     sku text collate "C" not null,
     views bigint not null default 0,
     clicks bigint not null default 0,
     carts bigint not null default 0,
     purchases bigint not null default 0,
     primary key (granularity, bucket, sku)
   ) with (fillfactor = 70)`,
  // source: a partition, or the log. A user is in one partition.
  `create table events.analytics_users (
     day date not null,
     source text collate "C" not null,
     users bigint not null,
     primary key (day, source))`,
  // A set of counts is added in the transaction that writes its id here: once, however often it is tried.
  `create table events.analytics_rollups (
     id text collate "C" primary key,
     source text collate "C" not null,
     sealed_at timestamptz not null,
     committed_at timestamptz not null default now())`,
  'create index analytics_rollups_source on events.analytics_rollups (source, sealed_at desc)',
];
