import { once } from 'node:events';
import { basename } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { escapeCopy } from '../cells.ts';
import { copyColumns, datasets } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import type { ErasedList } from '../erasure/erased-filter.ts';
import { LoadRefusedError } from '../errors.ts';
import { fileState } from '../files/file-state.ts';
import type { SourceFile } from '../files/reading.ts';
import type { ColumnMapping } from '../mapping.ts';
import { collectBadRows, isBeyond, storeBadRows } from './bad-rows.ts';
import type { BadRowLimit, BadRows } from './bad-rows.ts';
import { sessionName } from './load-lock.ts';
import { parseInThread } from './parse-thread.ts';
import type { LoadProgress } from './progress.ts';
import type { ParseSummary } from './protocol.ts';
import { addIndexes, addKey, createTable, qualified, schema } from './tables.ts';

export interface DatasetLoad {
  readonly dataset: DatasetName;
  readonly source: SourceFile;
  readonly mapping: ColumnMapping;
  readonly generation: number;
  readonly loadId: number;
  readonly limit: BadRowLimit;
  /** Whose rows are left out; undefined: nobody was erased. */
  readonly erased?: ErasedList | undefined;
  readonly progress: LoadProgress;
  readonly signal: AbortSignal | undefined;
  /** See LoadOptions. */
  readonly name?: string | undefined;
}

export interface DatasetReport {
  readonly dataset: DatasetName;
  readonly generation: number;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly rows: number;
  readonly bad_rows: number;
  /** Rows that were left out because their subscriber was erased. */
  readonly erased_rows: number;
  readonly ignored_columns: readonly string[];
  /** The generation of an earlier load of the very same file, which was not finished. */
  readonly resumed: boolean;
  readonly seconds: number;
}

/** Everything of one file into its table, as the thread finds it. The table is new in this transaction, so its rows need no second visit (FREEZE). */
async function copyRows(client: PoolClient, load: DatasetLoad, bytes: number, bad: BadRows): Promise<ParseSummary> {
  const { dataset, source, mapping, generation, progress, signal, erased } = load;
  const copy = client.query(copyFrom(`copy ${qualified(dataset, generation)} (${copyColumns(datasets[dataset]).join(', ')}) from stdin with (freeze)`));
  const failure = finished(copy);
  failure.catch(() => undefined);
  let rows = 0;
  const onRows = async (chunk: Buffer, taken: { readonly rows: number; readonly bytes: number }): Promise<void> => {
    if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), failure]);
    rows += taken.rows;
    progress.step('read', { dataset, done: taken.bytes, total: bytes, rows });
  };
  const summary = await parseInThread({ dataset, source, mapping, erased }, { onRows, onBad: (found) => bad.add(found) }, signal);
  copy.end();
  await failure;
  return summary;
}

/** Keys that come more than once: only the first row of each stays. The file is read again to tell the lines of the others. */
async function removeDuplicates(client: PoolClient, { dataset, source, mapping, generation, signal }: DatasetLoad, bad: BadRows): Promise<number> {
  const table = qualified(dataset, generation);
  const key = datasets[dataset].key.join(', ');
  const found = await client.query<{ key: string[] }>(`select array[${datasets[dataset].key.map((column) => `${column}::text`).join(', ')}] as key from ${table} group by ${key} having count(*) > 1 limit 100000`);
  const duplicates = found.rows.map(({ key: values }) => values.map(escapeCopy).join('\t'));
  await parseInThread({ dataset, source, mapping, duplicates }, { onRows: async () => undefined, onBad: (rows) => bad.add(rows) }, signal);
  const removed = await client.query(`delete from ${table} where ctid in (select ctid from (select ctid, row_number() over (partition by ${key} order by ctid) as place from ${table}) numbered where place > 1)`);
  return removed.rowCount ?? 0;
}

/**
 * Adds the primary key; returns the number of rows that had to go for it. What plpgsql catches is not logged: the server's log would name the key
 * that comes twice, which is a telephone number.
 */
async function addPrimaryKey(client: PoolClient, load: DatasetLoad, bad: BadRows): Promise<number> {
  const key = addKey(load.dataset, load.generation);
  await client.query(`do $$ begin ${key}; perform set_config('millrace.key', 'added', true); exception when unique_violation then perform set_config('millrace.key', 'repeated', true); end $$`);
  const { rows } = await client.query<{ key: string }>(`select current_setting('millrace.key') as key`);
  if (rows[0]?.key === 'added') return 0;
  const removed = await removeDuplicates(client, load, bad);
  await client.query(key);
  return removed;
}

function refuseTooManyBad({ dataset, limit, source }: DatasetLoad, bad: BadRows, total: number): void {
  if (!isBeyond(limit, bad.count, total)) return;
  const allowed = 'share' in limit ? `${Number((limit.share * 100).toFixed(4))} %` : `${limit.rows}`;
  const first = bad.kept[0];
  const example = first === undefined ? '' : `; line ${first.line}${first.column === '' ? '' : `, ${first.column}`}: ${first.reason}`;
  throw new LoadRefusedError(`${bad.count} of ${total} rows of ${basename(source.path)} (${dataset}) are bad, ${allowed} may be (--max-bad)${example}`);
}

interface FilledTable extends ParseSummary {
  readonly lastMonth: string | null;
}

async function fillTable(client: PoolClient, load: DatasetLoad, bytes: number, bad: BadRows): Promise<FilledTable> {
  const { dataset, generation, progress, signal } = load;
  const indexing = (done: number): void => {
    signal?.throwIfAborted();
    progress.step('index', { dataset, done, total: 3 });
  };
  await client.query('begin');
  await client.query(`set local statement_timeout = 0`);
  await client.query(`select set_config('application_name', $1, true)`, [sessionName(load.name)]);
  await client.query(`set local maintenance_work_mem = '128MB'`);
  await client.query(createTable(dataset, generation));
  const summary = await copyRows(client, load, bytes, bad);
  const total = summary.rows + bad.count;
  if (summary.rows === 0) throw new LoadRefusedError(`${basename(load.source.path)} (${dataset}) has no row that can be loaded${summary.erasedRows > 0 ? ` (${summary.erasedRows} are of erased subscribers)` : ''}${bad.kept[0] === undefined ? '' : `; line ${bad.kept[0].line}, ${bad.kept[0].column}: ${bad.kept[0].reason}`}`);
  refuseTooManyBad(load, bad, total);
  indexing(0);
  const removed = await addPrimaryKey(client, load, bad);
  if (removed > 0) refuseTooManyBad(load, bad, total);
  indexing(1);
  for (const statement of addIndexes(dataset, generation)) await client.query(statement);
  indexing(2);
  await client.query(`analyze ${qualified(dataset, generation)}`);
  const rows = summary.rows - removed;
  const counted = await client.query<{ count: number; last_month: string | null }>(`select count(*)::int as count, ${dataset === 'arpu' ? 'max(data_month)::text' : 'null'} as last_month from ${qualified(dataset, generation)}`);
  if (counted.rows[0]?.count !== rows) throw new Error(`${dataset}: ${rows} rows were sent, ${counted.rows[0]?.count ?? 0} are there`);
  indexing(3);
  return { ...summary, rows, badRows: bad.count, lastMonth: counted.rows[0].last_month };
}

/**
 * Loads one file into the tables of a new generation, in one transaction: killed anywhere, nothing of it is there. Readers see nothing of
 * it, ready or not. Throws LoadRefusedError for a file that cannot be read or has too many bad rows; those are stored in any case.
 */
export async function loadDataset(pool: Pool, load: DatasetLoad): Promise<DatasetReport> {
  const { dataset, source, generation, mapping } = load;
  const startMs = performance.now();
  const before = await fileState(source.path);
  const { bytes } = before;
  const file = basename(source.path);
  const bad = collectBadRows();
  const client = await pool.connect();
  let isDone = false;
  try {
    const summary = await fillTable(client, load, bytes, bad);
    if ((await fileState(source.path)).text !== before.text) throw new LoadRefusedError(`${source.path} was changed or replaced while it was read: load it when it is whole`);
    await client.query(
      `insert into ${schema}.dataset_generations (dataset, number, state, rows, bad_rows, file_name, file_bytes, file_sha256, mapping, last_month) values ($1, $2, 'ready', $3, $4, $5, $6, $7, $8, $9)`,
      [dataset, generation, summary.rows, summary.badRows, file, bytes, summary.sha256, readingOf(source, mapping), summary.lastMonth],
    );
    await client.query('commit');
    isDone = true;
    return { dataset, generation, file, bytes, sha256: summary.sha256, rows: summary.rows, bad_rows: summary.badRows, erased_rows: summary.erasedRows, ignored_columns: summary.ignoredColumns, resumed: false, seconds: secondsSince(startMs) };
  } finally {
    // A connection in the middle of COPY or of a transaction is of no use any more; Postgres rolls back.
    client.release(!isDone);
    if (bad.kept.length > 0) await storeBadRows(pool, { loadId: load.loadId, dataset, file, rows: bad.kept });
  }
}

/** How a file is read: the same bytes read in another way are another table. */
export const readingOf = ({ encoding, delimiter }: SourceFile, mapping: ColumnMapping): string => JSON.stringify(encoding === undefined && delimiter === undefined ? mapping : { mapping, encoding, delimiter });

export const secondsSince = (startMs: number): number => Number(((performance.now() - startMs) / 1_000).toFixed(1));
