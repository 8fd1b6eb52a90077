import type { DatabaseSync } from 'node:sqlite';
import { checkLimit, checkVector } from '../check-vector.ts';
import { VectorsUnavailableError } from '../errors.ts';
import type { SimilarHit, SimilarQuery, VectorModel, VectorPayload, VectorRecord } from '../ports.ts';
import { openCollectionFile, readModel } from './collection-file.ts';
import { bytesOrNull, floatsOf, integer, integerOrNull, text, textOrNull, type Row } from './columns.ts';
import { createCollectionCopy, type CollectionCopy } from './copy.ts';
import { collectionPath, inodeOf, readCurrent } from './directory.ts';

const payloadColumns = 'sku, name, category, brand, merchant_id, price_minor, currency, in_stock, image_url, embedded_at';

/** One collection, open for reading. Synchronous: belongs in a worker thread. */
export interface OpenCollection {
  readonly model: VectorModel;
  readonly copy: CollectionCopy;
  /** False once another file stands at this one's path, and of the live one once CURRENT names another. */
  isCurrent(): boolean;
  /** Takes over what was committed since the last call. */
  catchUp(): void;
  get(sku: string): VectorRecord | undefined;
  /** Copy and payloads are of one moment: both are read in one transaction. */
  nearest(vector: Float32Array, query: SimilarQuery): SimilarHit[];
  close(): void;
}

/** Called now and then while much is read. */
type OnProgress = () => void;
const PROGRESS_EVERY = 2_000;

/** Undefined while CURRENT names none. Throws VectorsUnavailableError where the file is gone or cannot be read. */
export function openLiveCollection(directory: string, onProgress: OnProgress = () => undefined): OpenCollection | undefined {
  // Between reading CURRENT and opening the file, a swap may have removed it: CURRENT then names the next one.
  for (let attempt = 1; ; attempt++) {
    const name = readCurrent(directory);
    if (name === undefined) return undefined;
    try {
      return openCollection(directory, name, { isWanted: () => readCurrent(directory) === name, onProgress });
    } catch (error) {
      if (attempt === 5 || readCurrent(directory) === name) throw error;
    }
  }
}

/** Whether it is live or not. Throws VectorsUnavailableError where the file is not there or cannot be read. */
export const openNamedCollection = (directory: string, name: string, onProgress: OnProgress = () => undefined): OpenCollection => openCollection(directory, name, { isWanted: () => true, onProgress });

function openCollection(directory: string, name: string, { isWanted, onProgress }: { readonly isWanted: () => boolean; readonly onProgress: OnProgress }): OpenCollection {
  const path = collectionPath(directory, name);
  const inode = inodeOf(path);
  const db = openCollectionFile(directory, name, { readOnly: true });
  try {
    return readFrom(db, { isCurrent: () => isWanted() && inodeOf(path) === inode, onProgress });
  } catch (error) {
    db.close();
    throw error;
  }
}

function readFrom(db: DatabaseSync, { isCurrent, onProgress }: { readonly isCurrent: () => boolean; readonly onProgress: OnProgress }): OpenCollection {
  const model = readModel(db);
  const source = createCopySource(db, model.dimensions, onProgress);
  const selectOne = db.prepare(`SELECT version, text_hash, vector, ${payloadColumns} FROM records WHERE sku = ? AND deleted = 0`);
  const selectPayload = db.prepare(`SELECT ${payloadColumns} FROM records WHERE sku = ?`);

  return {
    model,
    get copy() {
      return source.copy();
    },
    isCurrent,
    catchUp: () => inSnapshot(db, () => source.catchUp()),
    get(sku) {
      const row = selectOne.get(sku);
      return row === undefined ? undefined : toRecord(row);
    },
    nearest(vector, query) {
      checkLimit(query.limit);
      checkVector(vector, { dimensions: model.dimensions, what: 'the vector to search by' });
      return inSnapshot(db, () => {
        source.catchUp();
        return source.copy().nearest(vector, query).flatMap(({ sku, score }) => {
          const row = selectPayload.get(sku);
          return row === undefined ? [] : [{ sku, score, payload: toPayload(row), embeddedAt: text(row, 'embedded_at') }];
        });
      });
    },
    close: () => db.close(),
  };
}

/** Keeps a copy equal to the file. `catchUp` runs inside a read transaction. */
function createCopySource(db: DatabaseSync, dimensions: number, onProgress: OnProgress): { copy(): CollectionCopy; catchUp(): void } {
  const selectState = db.prepare('SELECT change, purged_through FROM state');
  const selectAll = db.prepare('SELECT sku, category, brand, searchable, vector FROM records WHERE searchable = 1');
  const selectChanged = db.prepare('SELECT sku, category, brand, searchable, vector FROM records WHERE change > ?');
  let copy = createCollectionCopy(dimensions);
  let position = -1;

  return {
    copy: () => copy,
    catchUp() {
      const state = selectState.get() ?? {};
      const last = integer(state, 'change');
      if (last === position) return;
      // A tombstone that was purged before it was seen would leave its product here for ever.
      const isBehindPurge = position < integer(state, 'purged_through');
      if (isBehindPurge && position >= 0) copy = createCollectionCopy(dimensions);
      const rows = position < 0 || isBehindPurge ? selectAll.iterate() : selectChanged.iterate(position);
      let count = 0;
      for (const row of rows) {
        apply(copy, row, dimensions);
        if ((count += 1) % PROGRESS_EVERY === 0) onProgress();
      }
      position = last;
    },
  };
}

function apply(copy: CollectionCopy, row: Row, dimensions: number): void {
  const sku = text(row, 'sku');
  const vector = bytesOrNull(row, 'vector');
  if (integer(row, 'searchable') === 0 || vector === null) return copy.remove(sku);
  if (vector.byteLength !== dimensions * 4) throw new VectorsUnavailableError(`the vector of ${sku} has ${vector.byteLength} bytes`);
  copy.set(sku, { vector: floatsOf(vector), category: textOrNull(row, 'category'), brand: textOrNull(row, 'brand') });
}

function inSnapshot<T>(db: DatabaseSync, read: () => T): T {
  db.exec('BEGIN');
  try {
    return read();
  } finally {
    if (db.isTransaction) db.exec('COMMIT');
  }
}

function toRecord(row: Row): VectorRecord {
  const vector = bytesOrNull(row, 'vector');
  return {
    sku: text(row, 'sku'),
    version: integer(row, 'version'),
    ...(vector === null ? {} : { vector: floatsOf(vector) }),
    textHash: text(row, 'text_hash'),
    payload: toPayload(row),
    embeddedAt: text(row, 'embedded_at'),
  };
}

const toPayload = (row: Row): VectorPayload => ({
  name: text(row, 'name'),
  category: textOrNull(row, 'category'),
  brand: textOrNull(row, 'brand'),
  merchant_id: integer(row, 'merchant_id'),
  price_minor: integerOrNull(row, 'price_minor'),
  currency: text(row, 'currency'),
  in_stock: integer(row, 'in_stock') === 1,
  image_url: textOrNull(row, 'image_url'),
});
