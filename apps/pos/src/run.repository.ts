import type { PosCounts, PosProblem, PosRun } from '@millrace/contracts';
import { inTransaction } from '@millrace/database';
import type { Pool } from 'pg';
import { z } from 'zod';
import { raiseFence } from './fence.ts';
import { noCounts } from './take-over.ts';

export const positionSchema = z.object({ phase: z.enum(['products', 'stock']), from: z.number().nullable(), offset: z.int(), newest: z.number().nullable() });
/** Where a run is: reading what changed at or after `from`, from the `offset`th on. Milliseconds since 1970. */
export type Position = z.output<typeof positionSchema>;

export interface OpenRun { readonly id: number; readonly isFull: boolean; readonly position: Position | undefined; readonly counts: PosCounts; readonly problems: readonly PosProblem[] }

const countsSchema = z.record(z.string(), z.number()).transform((counts): PosCounts => ({ ...noCounts, ...counts }));
const problemsSchema = z.array(z.object({ pos_id: z.number().nullable(), sku: z.string().nullable(), pointer: z.string(), detail: z.string() }));
const KEPT_RUNS = 1_000;
const SHOWN_PROBLEMS = 20;

const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const COLUMNS = `id, state, is_full, requested_by, ${iso('requested_at')} as requested_at, ${iso('started_at')} as started_at, ${iso('ended_at')} as ended_at, counts, problems, error`;

interface Row { id: number; state: PosRun['state']; is_full: boolean; requested_by: string; requested_at: string; started_at: string | null; ended_at: string | null; counts: unknown; problems: unknown; error: PosRun['error'] }
const toRun = ({ counts, problems, ...row }: Row): PosRun => ({ ...row, counts: countsSchema.parse(counts), problems: problemsSchema.parse(problems) });

/** Undefined where one is not done yet. */
export async function requestRun(pool: Pool, requestedBy: string, isFull: boolean): Promise<PosRun | undefined> {
  const { rows } = await pool.query<Row>(`insert into pos.runs (state, requested_by, is_full) values ('waiting', $1, $2) on conflict do nothing returning ${COLUMNS}`, [requestedBy, isFull]);
  return rows[0] && toRun(rows[0]);
}

export async function findRun(pool: Pool, id: number): Promise<PosRun | undefined> {
  const { rows } = await pool.query<Row>(`select ${COLUMNS} from pos.runs where id = $1`, [id]);
  return rows[0] && toRun(rows[0]);
}

export async function findLastRun(pool: Pool): Promise<PosRun | undefined> {
  const { rows } = await pool.query<Row>(`select ${COLUMNS} from pos.runs order by id desc limit 1`);
  return rows[0] && toRun(rows[0]);
}

export interface Work { readonly isRunOpen: boolean; readonly isRunDue: boolean; readonly dueHints: number; /** A run failed in the last minute: none is begun for the sake of notifications. */ readonly hasJustFailed: boolean }

/** What there is to do. A run is due where the last one ended (or was asked for) so long ago; 0 = never. */
export async function findWork(pool: Pool, intervalMs: number): Promise<Work> {
  const { rows } = await pool.query<{ is_open: boolean; is_due: boolean; hints: number; has_failed: boolean }>(`
    select exists (select from pos.runs where state in ('waiting', 'running')) as is_open,
      $1::float8 > 0 and coalesce((select max(coalesce(ended_at, requested_at)) from pos.runs) <= now() - make_interval(secs => $1::float8 / 1000), true) as is_due,
      (select count(*)::int from (select from pos.hints where next_at <= now() limit 1000) h) as hints,
      exists (select from pos.runs where state = 'failed' and ended_at > now() - interval '1 minute') as has_failed`, [intervalMs]);
  const [found] = rows;
  return { isRunOpen: found?.is_open ?? false, isRunDue: found?.is_due ?? false, dueHints: found?.hints ?? 0, hasJustFailed: found?.has_failed ?? false };
}

/** Takes up the run that is not done, wherever it was broken off. */
export async function takeRun(pool: Pool, fence: number): Promise<OpenRun | undefined> {
  return await inTransaction(pool, async (client) => {
    await raiseFence(client, fence);
    const { rows } = await client.query<{ id: number; is_full: boolean; position: unknown; counts: unknown; problems: unknown }>(`
      update pos.runs set state = 'running', started_at = coalesce(started_at, now()) where state in ('waiting', 'running') returning id, is_full, position, counts, problems`);
    await client.query('delete from pos.runs where id <= (select max(id) - $1 from pos.runs)', [KEPT_RUNS]);
    const [row] = rows;
    if (!row) return undefined;
    const position = positionSchema.safeParse(row.position);
    return { id: row.id, isFull: row.is_full, position: position.data, counts: countsSchema.parse(row.counts), problems: problemsSchema.parse(row.problems) };
  });
}

export interface Cursor { readonly products: number | null; readonly stock: number | null }

/** How far changes are taken over; milliseconds since 1970. */
export async function readCursor(pool: Pool): Promise<Cursor> {
  const { rows } = await pool.query<Cursor>('select extract(epoch from products_from) * 1000 as products, extract(epoch from stock_from) * 1000 as stock from pos.state');
  const number = (value: unknown): number | null => (value === null || value === undefined ? null : Math.floor(Number(value)));
  return { products: number(rows[0]?.products), stock: number(rows[0]?.stock) };
}

export interface Progress { readonly position: Position; readonly counts: PosCounts; readonly problems: readonly PosProblem[]; readonly cursor: Cursor }

const CURSOR = 'update pos.state set products_from = greatest(products_from, to_timestamp($1::float8 / 1000)), stock_from = greatest(stock_from, to_timestamp($2::float8 / 1000))';

/** After a page's effects: a run that is taken up later begins behind it. The cursor never goes back. */
export async function saveProgress(pool: Pool, fence: number, id: number, { position, counts, problems, cursor }: Progress): Promise<void> {
  await inTransaction(pool, async (client) => {
    await raiseFence(client, fence);
    await client.query('update pos.runs set position = $2, counts = $3, problems = $4 where id = $1', [id, JSON.stringify(position), JSON.stringify(counts), JSON.stringify(problems.slice(0, SHOWN_PROBLEMS))]);
    await client.query(CURSOR, [cursor.products, cursor.stock]);
  });
}

export async function endRun(pool: Pool, fence: number, id: number, error: PosRun['error']): Promise<void> {
  await inTransaction(pool, async (client) => {
    await raiseFence(client, fence);
    await client.query('update pos.runs set state = $2, error = $3, ended_at = now() where id = $1', [id, error === null ? 'done' : 'failed', error === null ? null : JSON.stringify(error)]);
  });
}
