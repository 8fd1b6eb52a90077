import { sql } from 'kysely';
import type { SearchDb } from './database.ts';

export interface CompletedSweep {
  readonly index: string;
  /** The export's watermark: where the next sweep may begin, before the overlap. */
  readonly watermark: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly seen: number;
  readonly indexed: number;
}

const iso = (column: string) => sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

export async function findLastSweep(db: SearchDb, index: string): Promise<CompletedSweep | undefined> {
  const row = await db.selectFrom('search.sweeps').where('index_name', '=', index)
    .select([iso('watermark').as('watermark'), iso('started_at').as('startedAt'), iso('finished_at').as('finishedAt'), 'seen', 'indexed']).executeTakeFirst();
  return row && { index, ...row };
}

/** Only completed sweeps are recorded: one that fails is repeated from where the last completed one began. */
export async function recordSweep(db: SearchDb, sweep: CompletedSweep): Promise<void> {
  const values = { watermark: sweep.watermark, started_at: sweep.startedAt, finished_at: sweep.finishedAt, seen: sweep.seen, indexed: sweep.indexed };
  await db.insertInto('search.sweeps').values({ index_name: sweep.index, ...values }).onConflict((conflict) => conflict.column('index_name').doUpdateSet(values)).execute();
}

/** Of an index that is gone. */
export async function forgetSweepsOf(db: SearchDb, index: string): Promise<void> {
  await db.deleteFrom('search.sweeps').where('index_name', '=', index).execute();
}

/** The next sweep reads the whole catalogue. */
export async function forgetSweeps(db: SearchDb): Promise<void> {
  await db.deleteFrom('search.sweeps').execute();
}
