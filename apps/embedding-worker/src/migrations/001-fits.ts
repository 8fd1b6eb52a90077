import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** One row a fit of the model: when the next one may come, and what was live when. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table embedding.fits (
    id bigint generated always as identity primary key,
    collection text not null,
    model_id text not null,
    fitted_on integer not null,
    started_at timestamptz not null,
    finished_at timestamptz not null default now())`.execute(db);
}
