import { setImmediate } from 'node:timers/promises';
import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { mergeRanges } from '../sku-ranges.ts';
import { openCollectionFile } from './collection-file.ts';
import { integer, text } from './columns.ts';

/** Rows read in one go. node:sqlite blocks: some milliseconds, then it is the others' turn. */
const pageRows = 2_000;

// Texts are compared by their UTF-8 bytes (BINARY), and every blob is after every text: an empty one is the open end.
const pageSql = (start: '>=' | '>') => `SELECT sku, version FROM records WHERE deleted = 0 AND sku ${start} ? AND sku < ? ORDER BY sku LIMIT ${pageRows}`;
const openEnd = new Uint8Array();

/** In order of the skus, page by page; each page is of one moment. */
export async function* readVersions({ directory, collection, ranges, signal }: { directory: string; collection: string; ranges?: readonly SkuRange[] | undefined; signal?: AbortSignal | undefined }): AsyncIterable<readonly StoredVersion[]> {
  const db = openCollectionFile(directory, collection, { readOnly: true });
  try {
    const [first, next] = [db.prepare(pageSql('>=')), db.prepare(pageSql('>'))];
    for (const { from = '', to = openEnd } of mergeRanges(ranges)) {
      let after: string | undefined;
      do {
        signal?.throwIfAborted();
        const page = (after === undefined ? first.all(from, to) : next.all(after, to)).map((row) => ({ sku: text(row, 'sku'), version: integer(row, 'version'), deleted: false }));
        if (page.length > 0) yield page;
        after = page.length < pageRows ? undefined : page.at(-1)?.sku;
        await setImmediate();
      } while (after !== undefined);
    }
  } finally {
    db.close();
  }
}
