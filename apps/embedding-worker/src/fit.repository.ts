import type { EmbeddingDb } from './database.ts';
import { sql } from 'kysely';

export interface Fit { readonly collection: string; readonly modelId: string; readonly fittedOn: number; readonly startedAt: string }

export async function recordFit(db: EmbeddingDb, fit: Fit): Promise<void> {
  await db.insertInto('embedding.fits').values({ collection: fit.collection, model_id: fit.modelId, fitted_on: fit.fittedOn, started_at: fit.startedAt }).execute();
}

/** Milliseconds since the last fit of any instance ended, by the database's clock; Infinity before the first one. */
export async function msSinceLastFit(db: EmbeddingDb): Promise<number> {
  const found = await sql<{ ms: string | number | null }>`select extract(epoch from clock_timestamp() - max(finished_at)) * 1000 as ms from embedding.fits where fitted_on > 0`.execute(db);
  const ms = found.rows[0]?.ms ?? null;
  return ms === null ? Infinity : Number(ms);
}
