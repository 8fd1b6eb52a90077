import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { checkRecords } from '../check-vector.ts';
import type { VectorPayload, VectorRecord, VectorWriter } from '../ports.ts';
import { openCollectionFile, readModel, writeTransaction } from './collection-file.ts';
import { bytesOf, integer, text, textOrNull, type Row } from './columns.ts';

const payloadColumns = ['name', 'category', 'brand', 'merchant_id', 'price_minor', 'currency', 'in_stock', 'image_url'] as const;
const upsertColumns = ['version', 'change', 'deleted', 'deleted_at', 'searchable', 'text_hash', 'embedded_at', ...payloadColumns, 'vector'] as const;

const assign = (columns: readonly string[]): string => columns.map((column) => `${column} = excluded.${column}`).join(', ');
const upsertSql = `INSERT INTO records (sku, ${upsertColumns.join(', ')}) VALUES (?${', ?'.repeat(upsertColumns.length)})
  ON CONFLICT (sku) DO UPDATE SET ${assign(upsertColumns)} WHERE excluded.version > records.version`;
/** Keeps the category: the caller purges answers of the category that the product was in. */
const removeSql = `INSERT INTO records (sku, version, change, deleted, deleted_at, searchable) VALUES (?, ?, ?, 1, ?, 0)
  ON CONFLICT (sku) DO UPDATE SET ${assign(['version', 'change', 'deleted', 'deleted_at', 'searchable'])},
    text_hash = NULL, embedded_at = NULL, name = NULL, brand = NULL, image_url = NULL, vector = NULL WHERE excluded.version > records.version`;
const payloadSql = `UPDATE records SET version = ?1, change = ?2, ${payloadColumns.map((column, at) => `${column} = ?${at + 3}`).join(', ')}
  WHERE sku = ?${payloadColumns.length + 3} AND text_hash = ?${payloadColumns.length + 4} AND deleted = 0 AND version < ?1`;
const describeSql = `SELECT r.sku, r.version, r.deleted, r.text_hash, r.embedded_at, r.category FROM json_each(?) AS wanted JOIN records AS r ON r.sku = wanted.value`;

/** One connection; each call is one transaction, so a crash leaves a batch stored or not at all. */
export function openEmbeddedWriter(directory: string, collection: string): VectorWriter {
  const db = openCollectionFile(directory, collection);
  const { dimensions } = readModel(db);
  const [upsert, remove, updatePayload, describe] = [db.prepare(upsertSql), db.prepare(removeSql), db.prepare(payloadSql), db.prepare(describeSql)];

  return {
    async upsert(records) {
      checkRecords(records, dimensions);
      write(db, records, (record, change) => upsert.run(...upsertValues(record, change)));
    },
    async remove(tombstones) {
      const now = Date.now();
      write(db, tombstones, ({ sku, version }, change) => remove.run(sku, version, change, now));
    },
    async updatePayload(changes) {
      write(db, changes, ({ sku, version, textHash, payload }, change) => updatePayload.run(version, change, ...payloadValues(payload), sku, textHash));
    },
    async describe(skus) {
      return new Map(describe.all(JSON.stringify(skus)).map((row) => [text(row, 'sku'), toDescription(row)]));
    },
    async close() {
      if (db.isOpen) db.close();
    },
  };
}

function write<T>(db: DatabaseSync, items: readonly T[], run: (item: T, change: number) => { changes: number | bigint }): void {
  if (items.length === 0) return;
  writeTransaction(db, (counter) => {
    for (const item of items) counter.used(run(item, counter.next()).changes);
  });
}

function upsertValues({ sku, version, vector, textHash, embeddedAt, payload }: VectorRecord, change: number): SQLInputValue[] {
  const searchable = vector === undefined ? 0 : 1;
  return [sku, version, change, 0, null, searchable, textHash, embeddedAt, ...payloadValues(payload), vector === undefined ? null : bytesOf(vector)];
}

/** In the order of payloadColumns. */
const payloadValues = (payload: VectorPayload): SQLInputValue[] =>
  payloadColumns.map((column) => (column === 'in_stock' ? Number(payload.in_stock) : payload[column]));

function toDescription(row: Row) {
  const version = integer(row, 'version');
  const category = textOrNull(row, 'category');
  if (integer(row, 'deleted') === 1) return { version, category, deleted: true };
  return { version, category, textHash: text(row, 'text_hash'), embeddedAt: text(row, 'embedded_at'), deleted: false };
}
