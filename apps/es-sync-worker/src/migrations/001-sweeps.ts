import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** The last completed sweep of each index. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table search.sweeps (
    index_name text primary key,
    watermark timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    seen integer not null,
    indexed integer not null)`.execute(db);
}
