import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Lists as they were served, and what of them came into view. Impressions may come before their list: no foreign key. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table recs.rankings (
    ranking_id uuid primary key,
    user_id text,
    kind text not null,
    served_at timestamptz not null,
    skus text[] not null,
    stages text[] not null)`.execute(db);
  await sql`create index rankings_served_at on recs.rankings (served_at)`.execute(db);
  await sql`create index rankings_user on recs.rankings (user_id, served_at desc) where user_id is not null`.execute(db);
  await sql`create table recs.impressions (
    ranking_id uuid not null,
    sku text not null,
    position integer not null,
    seen_at timestamptz not null default now(),
    primary key (ranking_id, sku))`.execute(db);
  await sql`create index impressions_seen_at on recs.impressions (seen_at)`.execute(db);
}
