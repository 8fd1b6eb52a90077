import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { skuFilter } from '@millrace/vectors';
import { countRows, queryRows, type Asked } from './queries.ts';
import { rowFields, toStoredRow } from './rows.ts';

/** Rows of a page, about. */
const pageRows = 1_000;
/** The most that Milvus answers with (`quotaAndLimits.limits.maxQueryResultWindow`). */
const mostRows = 16_384;
const digits = '0123456789abcdef'.split('');
const products = 'kind == "product"';

/**
 * Pages are parts of the ids, which are hashes and so spread evenly: "rows behind the last one" needs an order that Milvus does not promise.
 * A part that is too large is cut further. Ranges of skus are chosen from the pages here.
 */
export async function* readVersions(asked: Asked, ranges: readonly SkuRange[] | undefined, signal: AbortSignal | undefined): AsyncIterable<readonly StoredVersion[]> {
  const isWanted = skuFilter(ranges);
  const count = await countRows(asked, products);
  const depth = Math.max(0, Math.ceil(Math.log(count / pageRows) / Math.log(digits.length)));
  const waiting = [''];
  for (let prefix = waiting.pop(); prefix !== undefined; prefix = waiting.pop()) {
    signal?.throwIfAborted();
    const rows = prefix.length < depth ? undefined : await queryRows(asked, { filter: `${products} and id >= "${prefix}" and id < "${prefix}g"`, fields: rowFields, limit: mostRows });
    if (rows === undefined || rows.length >= mostRows) {
      for (const digit of digits) waiting.push(`${prefix}${digit}`);
      continue;
    }
    const page = rows.map(toStoredRow).filter(({ sku }) => isWanted(sku)).map(({ sku, version }) => ({ sku, version, deleted: false }));
    if (page.length > 0) yield page;
  }
}
