import { sql } from 'kysely';
import { z } from 'zod';
import type { RecsDb } from './database.ts';
import { driftKinds } from './measure-drift.ts';
import type { Rebuilt } from './rebuild-counts.ts';

/** `first`: a partition had no counts that were built (a new installation, a flushed Redis, new partitions). */
export type RebuildReason = 'first' | 'nightly' | 'manual';

const driftSchema = z.record(z.enum(driftKinds), z.number());
const rebuildRow = z.object({
  id: z.coerce.number(), reason: z.enum(['first', 'nightly', 'manual']), started_at: z.coerce.date(), finished_at: z.coerce.date().nullable(), generation: z.string().nullable(),
  events: z.coerce.number().nullable(), users: z.coerce.number().nullable(), drift: driftSchema.nullable(), error: z.string().nullable(),
});
export type RebuildRow = z.output<typeof rebuildRow>;

const KEPT = 100;

/** The newest first. One without an end runs, or its process was killed. */
export async function listRebuilds(db: RecsDb, limit: number): Promise<readonly RebuildRow[]> {
  return z.array(rebuildRow).parse(await db.selectFrom('recs.rebuilds').selectAll().orderBy('id', 'desc').limit(limit).execute());
}

/** When the last one that came to its end began. */
export async function findLastRebuild(db: RecsDb): Promise<Date | undefined> {
  const last = await db.selectFrom('recs.rebuilds').select('started_at').where('generation', 'is not', null).orderBy('id', 'desc').limit(1).executeTakeFirst();
  return last && new Date(last.started_at);
}

/** Somebody asked for the newest one, within a day, and it has not come to its end: it runs, it failed, or its process was killed. */
export async function isRebuildAsked(db: RecsDb): Promise<boolean> {
  const newest = await db.selectFrom('recs.rebuilds').select(['reason', 'generation', sql<boolean>`started_at > now() - interval '1 day'`.as('is_new')]).orderBy('id', 'desc').limit(1).executeTakeFirst();
  return newest?.reason === 'manual' && newest.generation === null && newest.is_new;
}

/** Only for whoever holds the lease: the others' that never ended are called killed. */
export async function beginRebuild(db: RecsDb, reason: RebuildReason): Promise<string> {
  await db.updateTable('recs.rebuilds').set({ finished_at: sql<Date>`now()`, error: 'its process ended' }).where('finished_at', 'is', null).execute();
  await db.deleteFrom('recs.rebuilds').where('id', '<=', sql<string>`(select max(id) from recs.rebuilds) - ${KEPT}`).execute();
  return (await db.insertInto('recs.rebuilds').values({ reason }).returning('id').executeTakeFirstOrThrow()).id;
}

export async function endRebuild(db: RecsDb, id: string, result: Rebuilt | { readonly error: string }): Promise<void> {
  const values = 'error' in result ? { error: result.error.slice(0, 500) } : { generation: result.generation, events: String(result.events), users: String(result.users), drift: JSON.stringify(result.drift) };
  await db.updateTable('recs.rebuilds').set({ finished_at: sql<Date>`now()`, ...values }).where('id', '=', id).execute();
}
