import type { EmbeddingDb } from './database.ts';
import { sql } from 'kysely';

export interface Fit { readonly collection: string; readonly modelId: string; readonly fittedOn: number; readonly startedAt: string }

/** Once for each swap: the same collection twice in a row is one fit. */
export async function recordFit(db: EmbeddingDb, { collection, modelId, fittedOn, startedAt }: Fit): Promise<void> {
  await sql`insert into embedding.fits (collection, model_id, fitted_on, started_at) select ${collection}, ${modelId}, ${fittedOn}, ${startedAt}::timestamptz
    where ${collection} is distinct from (select collection from embedding.fits order by id desc limit 1)`.execute(db);
}

/** Milliseconds since the last fit of any instance ended, by the database's clock; Infinity before the first one. */
export async function msSinceLastFit(db: EmbeddingDb): Promise<number> {
  const found = await sql<{ ms: string | number | null }>`select extract(epoch from clock_timestamp() - max(finished_at)) * 1000 as ms from embedding.fits where fitted_on > 0`.execute(db);
  const ms = found.rows[0]?.ms ?? null;
  return ms === null ? Infinity : Number(ms);
}
