import { DatabaseSync } from 'node:sqlite';
import { CollectionDroppedError, VectorsUnavailableError } from '../errors.ts';
import type { VectorModel } from '../ports.ts';
import { integer, text } from './columns.ts';
import { collectionPath, inodeOf } from './directory.ts';

/** How long a statement waits for another process's transaction, which takes milliseconds. */
const busyTimeoutMs = 5_000;

const schema = `
  CREATE TABLE model (id TEXT NOT NULL, dimensions INTEGER NOT NULL, document TEXT NOT NULL);
  CREATE TABLE state (
    change INTEGER NOT NULL,         -- number of the last change; readers catch up from theirs
    purged_through INTEGER NOT NULL, -- highest change among purged tombstones: a reader behind it must load anew
    dropped INTEGER NOT NULL         -- set before the file is unlinked: a writer that still has it open must not write into the void
  );
  CREATE TABLE records (
    sku TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    deleted_at INTEGER,              -- ms since 1970
    searchable INTEGER NOT NULL,     -- neither deleted nor without a vector
    change INTEGER NOT NULL,
    text_hash TEXT, embedded_at TEXT,
    name TEXT, category TEXT, brand TEXT, merchant_id INTEGER, price_minor INTEGER, currency TEXT, in_stock INTEGER, image_url TEXT,
    vector BLOB                      -- 32-bit floats
  );
  CREATE INDEX records_change ON records (change, searchable);
  CREATE INDEX records_deleted ON records (deleted_at) WHERE deleted = 1;
`;

/** Opens an existing file. A read-only handle sees other processes' commits as soon as they are done. */
export function openCollectionFile(directory: string, collection: string, { readOnly = false } = {}): DatabaseSync {
  const path = collectionPath(directory, collection);
  if (inodeOf(path) === undefined) throw new VectorsUnavailableError(`the vector collection ${collection} does not exist`);
  const db = new DatabaseSync(path, { readOnly, timeout: busyTimeoutMs });
  try {
    // FULL: what was acknowledged to the bus must survive a power cut, because nothing would deliver it again.
    if (!readOnly) db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;');
    return db;
  } catch (error) {
    db.close();
    throw isFileTrouble(error) ? new VectorsUnavailableError(`the vector collection ${collection} cannot be opened`, { cause: error }) : error;
  }
}

export function initialiseCollectionFile(db: DatabaseSync, model: VectorModel): void {
  inTransaction(db, () => {
    db.exec(schema);
    db.prepare('INSERT INTO model (id, dimensions, document) VALUES (?, ?, ?)').run(model.id, model.dimensions, model.document);
    db.exec('INSERT INTO state (change, purged_through, dropped) VALUES (0, 0, 0)');
  });
}

export function readModel(db: DatabaseSync): VectorModel {
  const row = db.prepare('SELECT id, dimensions, document FROM model').get();
  if (row === undefined) throw new VectorsUnavailableError('the vector collection has no model');
  return { id: text(row, 'id'), dimensions: integer(row, 'dimensions'), document: text(row, 'document') };
}

/** Runs the work under the file's write lock and commits, or rolls back and throws. Refuses a dropped collection. */
export function writeTransaction<T>(db: DatabaseSync, work: (change: ChangeCounter) => T): T {
  return inTransaction(db, () => {
    const state = db.prepare('SELECT change, dropped FROM state').get() ?? {};
    if (integer(state, 'dropped') === 1) throw new CollectionDroppedError('the vector collection was dropped');
    const counter = createChangeCounter(integer(state, 'change'));
    const result = work(counter);
    db.prepare('UPDATE state SET change = ?').run(counter.last());
    return result;
  });
}

/** Numbers changes: a write is tried with `next()`, and only one that changed something uses the number up. */
export interface ChangeCounter {
  next(): number;
  used(changes: number | bigint): void;
  last(): number;
}

function createChangeCounter(start: number): ChangeCounter {
  let last = start;
  return {
    next: () => last + 1,
    used: (changes) => {
      if (Number(changes) > 0) last++;
    },
    last: () => last,
  };
}

/** SQLite's primary result codes of a file that cannot be written now, whatever the statement (https://sqlite.org/rescode.html). */
const FILE_TROUBLE = new Set([5, 8, 10, 11, 13, 14, 26]); // BUSY, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
const isFileTrouble = (error: unknown): boolean => typeof error === 'object' && error !== null && 'errcode' in error && FILE_TROUBLE.has(Number(error.errcode) % 256);

function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  try {
    db.exec('BEGIN IMMEDIATE');
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw isFileTrouble(error) ? new VectorsUnavailableError('the vector collection cannot be written now', { cause: error }) : error;
  }
}
