import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Links, runs, notifications: no product's data but what was last written of it, and nothing of people. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table pos.state (
    only_one boolean primary key default true check (only_one),
    fence bigint not null default 0,
    products_from timestamptz,
    stock_from timestamptz)`.execute(db);
  await sql`insert into pos.state default values`.execute(db);
  // base: what the POS said last of the fields that the catalogue may edit; pending: what was about to be written when the process ended.
  await sql`create table pos.links (
    pos_id bigint primary key,
    sku text collate "C" not null,
    created_here boolean not null,
    base jsonb not null default '{}',
    pending jsonb,
    removed_at timestamptz,
    updated_at timestamptz not null default now())`.execute(db);
  await sql`create index links_sku on pos.links (sku) where removed_at is null`.execute(db);
  await sql`create table pos.runs (
    id bigint generated always as identity primary key,
    state text not null check (state in ('waiting', 'running', 'done', 'failed')),
    is_full boolean not null,
    requested_by text not null,
    requested_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    position jsonb,
    counts jsonb not null default '{}',
    problems jsonb not null default '[]',
    error jsonb)`.execute(db);
  await sql`create unique index runs_one_unfinished on pos.runs ((true)) where state in ('waiting', 'running')`.execute(db);
  await sql`create table pos.notifications (
    id text primary key,
    received_at timestamptz not null default now())`.execute(db);
  await sql`create index notifications_received on pos.notifications (received_at)`.execute(db);
  // Products that the POS has reported: they are read from it again.
  await sql`create table pos.hints (
    pos_id bigint primary key,
    asked bigint not null default 1,
    attempts int not null default 0,
    since timestamptz not null default now(),
    next_at timestamptz not null default now())`.execute(db);
  await sql`create index hints_next on pos.hints (next_at)`.execute(db);
  await sql`create table pos.pii_reads (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    subject text not null,
    operation text not null,
    rows int not null,
    request_id text)`.execute(db);
}
