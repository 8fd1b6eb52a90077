import { qualified } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool, PoolClient } from 'pg';
import type { RowsWanted, SegmentRows } from './segment-reader.ts';
import { columnSql, orderSql, whereSql } from './segment-sql.ts';
import type { Cell } from './segment-text.ts';

const PIECE = 2_000;
const CURSOR = 'segment_rows';

/**
 * Postgres keeps the rows apart from their table (WITH HOLD): a reader who takes minutes holds back no load that wants to drop it, and sees
 * one generation to the end.
 */
async function declare(client: PoolClient, pointer: Pointer, { query, order, columns, limit, hidden = [] }: RowsWanted): Promise<{ readonly count: number; readonly rows: number }> {
  const table = qualified('recommendations', pointer.recommendations);
  const { text: matching, values: own } = whereSql(query);
  const [text, values] = [`${matching} and isdn <> all($${own.length + 1}::text[])`, [...own, hidden]];
  await client.query('begin isolation level repeatable read');
  const { rows: [counted] } = await client.query<{ count: number }>(`select count(*)::int as count from ${table} where ${text}`, values);
  await client.query(`declare ${CURSOR} no scroll cursor with hold for select ${columns.map(columnSql).join(', ')} from ${table} where ${text} order by ${orderSql(order)} limit $${values.length + 1}::bigint`, [...values, limit]);
  await client.query('commit');
  const count = counted?.count ?? 0;
  return { count, rows: Math.min(count, limit) };
}

async function* fetchPieces(client: PoolClient): AsyncGenerator<readonly (readonly Cell[])[]> {
  for (;;) {
    const { rows } = await client.query<Cell[]>({ text: `fetch ${PIECE} from ${CURSOR}`, rowMode: 'array' });
    if (rows.length > 0) yield rows;
    if (rows.length < PIECE) return;
  }
}

/** Rows of a segment by Postgres. Holds a connection until it is closed. */
export async function openRows(pool: Pool, pointer: Pointer, wanted: RowsWanted): Promise<SegmentRows> {
  const client = await pool.connect();
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    // Closing the connection closes the cursor, whatever state it is in.
    client.release(true);
  };
  try {
    return { ...(await declare(client, pointer, wanted)), pointer, pieces: fetchPieces(client), close };
  } catch (error) {
    await close();
    throw error;
  }
}
