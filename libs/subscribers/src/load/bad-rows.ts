import type { Pool } from 'pg';
import type { DatasetName } from '../datasets.ts';
import type { BadRow } from './protocol.ts';
import { schema } from './tables.ts';

/** Bad rows of one file that are kept one by one; more are only counted. */
export const MAX_KEPT_BAD_ROWS = 10_000;

export interface BadRows {
  add(rows: readonly BadRow[]): void;
  readonly count: number;
  readonly kept: readonly BadRow[];
}

export function collectBadRows(): BadRows {
  const kept: BadRow[] = [];
  let count = 0;
  return {
    add(rows) {
      count += rows.length;
      kept.push(...rows.slice(0, Math.max(0, MAX_KEPT_BAD_ROWS - kept.length)));
    },
    get count() {
      return count;
    },
    kept,
  };
}

/** Outside the load's transaction: they are there for whoever reads why a load was refused. */
export async function storeBadRows(pool: Pool, { loadId, dataset, file, rows }: { readonly loadId: number; readonly dataset: DatasetName; readonly file: string; readonly rows: readonly BadRow[] }): Promise<void> {
  await pool.query(
    `insert into ${schema}.bad_rows (load_id, dataset, file, line, "column", reason, isdn)
     select $1, $2, $3, line, "column", reason, isdn from unnest($4::bigint[], $5::text[], $6::text[], $7::text[]) as bad (line, "column", reason, isdn)`,
    [loadId, dataset, file, rows.map(({ line }) => line), rows.map(({ column }) => column), rows.map(({ reason }) => reason), rows.map(({ isdn }) => isdn ?? null)],
  );
}

/** How many bad rows a file may have: a share of its rows, or a number. */
export type BadRowLimit = { readonly share: number } | { readonly rows: number };

export const isBeyond = (limit: BadRowLimit, bad: number, total: number): boolean => ('share' in limit ? bad > limit.share * total : bad > limit.rows);

/** `1%` or `250`; undefined for anything else. */
export function parseBadRowLimit(text: string): BadRowLimit | undefined {
  const [, number = '', percent] = /^(\d{1,9}(?:\.\d{1,6})?)(%)?$/.exec(text) ?? [];
  if (number === '') return undefined;
  if (percent === undefined) return number.includes('.') ? undefined : { rows: Number(number) };
  return Number(number) <= 100 ? { share: Number(number) / 100 } : undefined;
}
