import { segmentNumberFields } from '@millrace/contracts';
import type { SegmentColumn, SegmentCount, SegmentQuery } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import { qualified } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';
import type { SubscriberColumns } from './columns.ts';
import { countRows, findRows } from './filter-rows.ts';
import type { LiveColumns } from './live-columns.ts';
import { orderRows } from './order-rows.ts';
import type { RowOrder } from './order-rows.ts';
import { openRows } from './postgres-rows.ts';
import { whereSql } from './segment-sql.ts';
import type { Cell } from './segment-text.ts';

export interface RowsWanted {
  readonly query: SegmentQuery;
  readonly order: readonly RowOrder[];
  readonly columns: readonly SegmentColumn[];
  readonly limit: number;
  /** ISDNs that are left out. */
  readonly hidden?: readonly string[];
}

/** The rows of one generation, whatever becomes of it meanwhile. */
export interface SegmentRows {
  /** How many `pieces` gives. */
  readonly rows: number;
  /** How many match, whatever the limit. */
  readonly count: number;
  readonly pointer: Pointer;
  /** At the reader's pace. */
  readonly pieces: AsyncIterable<readonly (readonly Cell[])[]>;
  /** Frees what it holds. Safe to call twice. */
  close(): Promise<void>;
}

export interface SegmentReader {
  /** Exact, of one generation. Throws unavailable. */
  count(query: SegmentQuery): Promise<SegmentCount>;
  /** Throws unavailable. */
  open(wanted: RowsWanted): Promise<SegmentRows>;
}

export interface SegmentReaderDeps {
  /** With a statement timeout: what a caller may wait. */
  readonly pool: Pool;
  /** An export without a copy in memory holds one of its connections to its end. */
  readonly exportPool: Pool;
  readonly columns: LiveColumns;
  /** ISDNs that are left out although rows may have them: of those who are being erased. Default: none. */
  readonly hidden?: () => readonly string[];
  /** The pointer of this moment. */
  readonly askPointer: () => Promise<Pointer>;
  /** Asks Postgres for it. */
  readonly refreshPointer: () => Promise<Pointer>;
}

const UNDEFINED_TABLE = '42P01';
const isGone = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && error.code === UNDEFINED_TABLE;
const PIECE = 2_000;

const isNumberColumn = (column: SegmentColumn): column is (typeof segmentNumberFields)[number] => segmentNumberFields.some((name) => name === column);

function cellOf(copy: SubscriberColumns, column: SegmentColumn): (row: number) => Cell {
  if (column === 'isdn') return copy.isdnAt;
  if (isNumberColumn(column)) {
    const values = copy.numbers[column];
    return (row) => (Number.isNaN(values[row]) ? null : (values[row] ?? null));
  }
  const { codes, values } = copy.texts[column];
  return (row) => values[codes[row] ?? 0] ?? null;
}

/** Rows of the copy that match, without those of ISDNs that are left out. */
async function shownRows(copy: SubscriberColumns, query: SegmentQuery, hidden: readonly string[]): Promise<Uint32Array> {
  const found = await findRows(copy, query);
  const places = hidden.map((isdn) => copy.find(isdn));
  return places.some((place) => place >= 0) ? found.filter((row) => !places.includes(row)) : found;
}

/** How many rows of the copy match, and of how many. */
async function countShown(copy: SubscriberColumns, query: SegmentQuery, hidden: readonly string[]): Promise<{ readonly count: number; readonly total: number }> {
  const gone = new Set(hidden.map((isdn) => copy.find(isdn)).filter((place) => place >= 0)).size;
  return { count: gone === 0 ? await countRows(copy, query) : (await shownRows(copy, query, hidden)).length, total: copy.rows - gone };
}

async function openCopy(copy: SubscriberColumns, pointer: Pointer, { query, order, columns, limit, hidden = [] }: RowsWanted): Promise<SegmentRows> {
  const found = await shownRows(copy, query, hidden);
  const rows = orderRows(copy, found, order).slice(0, limit);
  const cells = columns.map((column) => cellOf(copy, column));
  async function* pieces(): AsyncGenerator<readonly (readonly Cell[])[]> {
    for (let at = 0; at < rows.length; at += PIECE) yield Array.from(rows.subarray(at, at + PIECE), (row) => cells.map((cell) => cell(row)));
  }
  return { rows: rows.length, count: found.length, pointer, pieces: pieces(), close: async () => undefined };
}

/** Counts and rows of segments: from the copy in memory where it is there, else from Postgres, which answers the same. */
export function createSegmentReader({ pool, exportPool, columns, hidden = () => [], askPointer, refreshPointer }: SegmentReaderDeps): SegmentReader {
  /** The generation may have been removed before this process had heard of the new one. */
  const withPointer = async <T>(work: (pointer: Pointer) => Promise<T>): Promise<T> => {
    try {
      return await work(await askPointer()).catch(async (error: unknown) => {
        if (!isGone(error)) throw error;
        return await work(await refreshPointer());
      });
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('unavailable', 'segments cannot be read now: Postgres has not answered in time, and there is no copy of it in memory', { cause: error, headers: { 'Retry-After': '2' } });
    }
  };
  const freshness = (pointer: Pointer, source: 'memory' | 'postgres'): SegmentCount['freshness'] => ({ recommendation: { generation: pointer.recommendations, loaded_at: pointer.loaded_at.recommendations, source } });
  return {
    count: (query) => withPointer(async (pointer) => {
      const copy = columns.at(pointer);
      if (copy !== undefined) return { ...(await countShown(copy, query, hidden())), freshness: freshness(pointer, 'memory') };
      const { text, values } = whereSql(query);
      const { rows: [row] } = await pool.query<{ total: number; count: number }>(
        `select count(*)::int as total, (count(*) filter (where ${text}))::int as count from ${qualified('recommendations', pointer.recommendations)} where isdn <> all($${values.length + 1}::text[])`, [...values, hidden()],
      );
      return { count: row?.count ?? 0, total: row?.total ?? 0, freshness: freshness(pointer, 'postgres') };
    }),
    open: (wanted) => withPointer(async (pointer) => {
      const copy = columns.at(pointer);
      const shown = { ...wanted, hidden: hidden() };
      return copy !== undefined ? await openCopy(copy, pointer, shown) : await openRows(exportPool, pointer, shown);
    }),
  };
}
