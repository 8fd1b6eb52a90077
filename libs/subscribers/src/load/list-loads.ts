import type { Pool, PoolClient } from 'pg';
import { z } from 'zod';
import { hideIsdns } from '../hide-isdns.ts';
import { LOCK_IS_HELD } from './load-lock.ts';
import { schema } from './tables.ts';

/** Kinds of bad rows that are told of one load. */
const MAX_KINDS = 20;

export interface LoadedFile {
  readonly dataset: string;
  readonly file: string;
  readonly generation: number;
  readonly rows: number;
  readonly bad_rows: number;
  readonly resumed: boolean;
  readonly seconds: number;
}

/** Bad rows of one file with one reason; of those that were kept, which are 10,000 of a file at most. */
export interface BadRowKind {
  readonly dataset: string;
  readonly file: string;
  readonly column: string;
  readonly reason: string;
  readonly rows: number;
}

export interface LoadSummary {
  readonly id: number;
  /** `abandoned`: it was killed. */
  readonly state: 'running' | 'done' | 'refused' | 'failed' | 'abandoned';
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly seconds: number | null;
  /** Null: it did not come to its end. */
  readonly dry_run: boolean | null;
  /** The number of the set that it made live; null: none. */
  readonly generation: number | null;
  readonly subscribers: number | null;
  readonly files: readonly LoadedFile[];
  readonly error: string | null;
  /** The most frequent first. */
  readonly bad_rows: readonly BadRowKind[];
}

const fileSchema = z.object({ dataset: z.string(), file: z.string(), generation: z.int(), rows: z.int(), bad_rows: z.int(), resumed: z.boolean(), seconds: z.number() });
/** Of any version: what is not there is not told. */
const reportSchema = z.object({
  datasets: z.array(fileSchema).catch([]),
  dry_run: z.boolean().nullable().catch(null),
  pointer: z.object({ redis: z.int() }).nullable().catch(null),
  counts: z.object({ subscribers: z.int() }).nullable().catch(null),
  error: z.string().nullable().catch(null),
});

interface LoadRow { readonly id: number; readonly state: LoadSummary['state']; readonly report: unknown; readonly started_at: string; readonly ended_at: string | null; readonly seconds: string | null; readonly is_held: boolean }

const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

async function badRowsOf(db: Pick<Pool | PoolClient, 'query'>, loads: readonly number[]): Promise<ReadonlyMap<number, BadRowKind[]>> {
  const { rows } = await db.query<BadRowKind & { readonly load_id: number }>(`
    select load_id, dataset, file, "column", reason, rows from (
      select load_id, dataset, file, "column", reason, count(*)::int as rows, row_number() over (partition by load_id order by count(*) desc, dataset, file, "column", reason) as place
      from ${schema}.bad_rows where load_id = any($1) group by load_id, dataset, file, "column", reason) kinds
    where place <= ${MAX_KINDS} order by load_id, place`, [loads]);
  return Map.groupBy(rows, ({ load_id: load }) => load);
}

/**
 * The last loads, the newest first, without a word that looks like an ISDN. A load that was killed is `abandoned`: nobody holds the lock any more. The
 * sentence of an unexpected failure is not passed on, because nobody knows what it holds: it is in the log of whoever loaded.
 */
export async function listLoads(db: Pick<Pool | PoolClient, 'query'>, limit: number): Promise<LoadSummary[]> {
  const { rows } = await db.query<LoadRow>(`
    select id, state, report, ${iso('started_at')} as started_at, ${iso('ended_at')} as ended_at, round(extract(epoch from ended_at - started_at), 1)::text as seconds, ${LOCK_IS_HELD} as is_held
    from ${schema}.loads order by id desc limit $1`, [limit]);
  const badRows = await badRowsOf(db, rows.map(({ id }) => id));
  return rows.map(({ id, state, report, started_at, ended_at, seconds, is_held: isHeld }) => {
    const { datasets, dry_run, pointer, counts, error } = reportSchema.parse(report);
    return {
      id, started_at, ended_at, dry_run,
      state: state === 'running' && !isHeld ? 'abandoned' as const : state,
      seconds: seconds === null ? null : Number(seconds),
      generation: state === 'done' && dry_run !== true ? (pointer?.redis ?? null) : null,
      subscribers: counts?.subscribers ?? null,
      files: datasets.map((one) => ({ ...one, file: hideIsdns(one.file) })),
      error: error === null ? null : state === 'failed' ? 'it failed unexpectedly: see the log of whoever loaded' : hideIsdns(error),
      bad_rows: (badRows.get(id) ?? []).map(({ dataset, file, column, reason, rows: count }) => ({ dataset, file: hideIsdns(file), column: hideIsdns(column), reason: hideIsdns(reason), rows: count })),
    };
  });
}
