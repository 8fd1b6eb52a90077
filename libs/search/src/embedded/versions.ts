import { setImmediate as nextTick } from 'node:timers/promises';
import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { orderedRanges } from '../sku-ranges.ts';
import { readable } from './schema.ts';
import type { Database, Row } from './sqlite.ts';

/** A page takes a few milliseconds, during which this process does nothing else. */
const PAGE = 5_000;

const COLUMNS = 'sku, version, deleted_at is not null';

const toStored = ([sku, version, deleted]: Row): StoredVersion => ({ sku: String(sku), version: Number(version), deleted: deleted === 1 });

/** Reads page by page, each from a snapshot of its own, and gives way between them. SQLite compares text by its UTF-8 bytes. */
export async function* readVersionsOf(db: Database, index: string, ranges: readonly SkuRange[] | undefined, signal: AbortSignal | undefined): AsyncGenerator<StoredVersion[]> {
  for (const { from = '', to } of orderedRanges(ranges)) {
    const end = to === undefined ? '' : ' and sku < ?';
    for (let last: string | undefined; ; ) {
      signal?.throwIfAborted();
      const sql = `select ${COLUMNS} from doc where deleted_at is null and sku ${last === undefined ? '>=' : '>'} ?${end} order by sku limit ${PAGE}`;
      const start = last ?? from;
      const page = readable(index, () => db.rows(sql, start, ...(to === undefined ? [] : [to]))).map(toStored);
      if (page.length > 0) yield page;
      last = page.at(-1)?.sku;
      if (page.length < PAGE) break;
      await nextTick();
    }
  }
}

export function storedVersions(db: Database, skus: readonly string[]): Map<string, StoredVersion> {
  const rows = db.rows(`select ${COLUMNS} from doc where sku in (select value from json_each(?))`, JSON.stringify(skus));
  return new Map(rows.map(toStored).map((stored) => [stored.sku, stored]));
}

export const storedVersion = (db: Database, sku: string): StoredVersion | undefined => {
  const row = db.row(`select ${COLUMNS} from doc where sku = ?`, sku);
  return row === undefined ? undefined : toStored(row);
};
