/** The one place that touches node:sqlite's loose types. */
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';

export type Cell = SQLOutputValue;
export type Row = readonly Cell[];

export interface Database {
  exec(sql: string): void;
  /** Is a transaction open? A full disk ends one by itself. */
  isInTransaction(): boolean;
  /** Runs a statement; returns the number of changed rows and the last rowid. */
  run(sql: string, ...parameters: SQLInputValue[]): { changes: number; lastId: number };
  /** Rows as arrays of cells. Statements are prepared once and kept: the texts must come from a bounded set. */
  rows(sql: string, ...parameters: SQLInputValue[]): Row[];
  row(sql: string, ...parameters: SQLInputValue[]): Row | undefined;
  close(): void;
}

export interface OpenOptions {
  readonly busyTimeoutMs: number;
  readonly isReader: boolean;
  /** For a handful of reads in a process that has other things in memory: few pages are kept. */
  readonly isBrief?: boolean;
}

export function openDatabase(path: string, { busyTimeoutMs, isReader, isBrief = false }: OpenOptions): Database {
  const db = new DatabaseSync(path, { timeout: busyTimeoutMs });
  // Mapped pages count as the process' own memory: only readers that stay have them.
  const memory = `pragma cache_size = ${isBrief ? -4_000 : -32_000}; pragma mmap_size = ${isReader && !isBrief ? 268_435_456 : 0}`;
  // FULL: an applied change is on disk when apply() resolves, because the tracker will never send it again.
  db.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma journal_size_limit = 67108864; ${memory}; pragma query_only = ${isReader ? 1 : 0}`);
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare(sql);
      statement.setReturnArrays(true);
      statements.set(sql, statement);
    }
    return statement;
  };
  return {
    exec: (sql) => db.exec(sql),
    isInTransaction: () => db.isTransaction,
    run(sql, ...parameters) {
      const { changes, lastInsertRowid } = prepared(sql).run(...parameters);
      return { changes: Number(changes), lastId: Number(lastInsertRowid) };
    },
    // setReturnArrays makes rows arrays, which node's types do not know.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    rows: (sql, ...parameters) => prepared(sql).all(...parameters) as unknown as Row[],
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    row: (sql, ...parameters) => prepared(sql).get(...parameters) as unknown as Row | undefined,
    close: () => db.close(),
  };
}

const SQLITE_BUSY = 5;

/** Another process holds the write lock: the same call may succeed a moment later. */
export const isBusy = (error: unknown): boolean => codeOf(error) === SQLITE_BUSY;

/** BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, SCHEMA, NOTADB (https://sqlite.org/rescode.html) */
const FILE_TROUBLE = new Set<number | undefined>([SQLITE_BUSY, 6, 7, 8, 10, 11, 13, 14, 15, 17, 26]);

/** The file cannot be read or written now (locked, damaged, disk full), as opposed to a wrong statement or document. */
export const isFileTrouble = (error: unknown): boolean => FILE_TROUBLE.has(codeOf(error));

const codeOf = (error: unknown): number | undefined => (typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) % 256 : undefined);
