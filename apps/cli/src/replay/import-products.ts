import { ProblemError } from '@millrace/client/contract';
import type { Client } from '@millrace/client/contract';
import { getProduct, skuSchema } from '@millrace/contracts';
import type { ImportReport } from '@millrace/contracts';
import { FailedError } from '../failed-error.ts';
import { UsageError } from '../usage-error.ts';
import { fileRows } from './file-rows.ts';
import type { ReadOptions } from './file-rows.ts';
import { detectLayout } from './layouts.ts';
import type { LayoutOptions } from './layouts.ts';

interface Named { readonly name: string; readonly price: number | undefined }

export interface ProductSummary {
  /** Products that were there already and stay as they are. */
  readonly known: number;
  readonly created: number;
  /** Rows that the import refused. */
  readonly failed: number;
}

/** Of one file; bounds the memory. */
const MOST = 1_000_000;
const AT_ONCE = 8;
/** UCI 352 and 502 are of a shop in the United Kingdom: unit prices in sterling. */
const CURRENCY = 'GBP';

const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : '');

/** What the file says of its products, by sku: the newest description, the newest price above 0. */
async function productsOf(file: string, options: Omit<ReadOptions, 'onProgress'> & LayoutOptions, signal: AbortSignal): Promise<ReadonlyMap<string, Named>> {
  const found = new Map<string, Named>();
  let isChecked = false;
  for await (const row of fileRows(file, { ...options, onProgress: () => undefined })) {
    if (signal.aborted) throw new FailedError('interrupted before the products were imported');
    if ('problem' in row) continue;
    if (!isChecked && detectLayout(row.record, options) !== 'online-retail') throw new UsageError('--products is for the layout online-retail: other files name no products');
    isChecked = true;
    const sku = skuSchema.safeParse(textOf(row.record['StockCode'])).data;
    if (sku === undefined) continue;
    const price = Number(row.record['UnitPrice'] ?? row.record['Price']);
    const before = found.get(sku);
    found.set(sku, { name: textOf(row.record['Description']) || (before?.name ?? sku), price: price > 0 ? Math.round(price * 100) / 100 : before?.price });
    if (found.size > MOST) throw new FailedError(`the file names more than ${MOST} products`);
  }
  return found;
}

async function isThere(client: Pick<Client, 'call'>, sku: string): Promise<boolean> {
  try {
    await client.call(getProduct, { params: { sku } });
    return true;
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === 'not_found') return false;
    throw error;
  }
}

/** Those that the catalogue does not have. */
async function missingOf(client: Pick<Client, 'call'>, skus: readonly string[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let start = 0; start < skus.length; start += AT_ONCE) {
    const some = skus.slice(start, start + AT_ONCE);
    const known = await Promise.all(some.map((sku) => isThere(client, sku)));
    missing.push(...some.filter((_sku, index) => known[index] === false));
  }
  return missing;
}

/** Imports the products that a file of online-retail names and the catalogue does not have: description as name, unit price in sterling. Safe to repeat. */
export async function importNamedProducts(client: Pick<Client, 'call' | 'importProducts'>, file: string, options: Parameters<typeof productsOf>[1], signal: AbortSignal): Promise<ProductSummary> {
  const products = await productsOf(file, options, signal);
  const missing = await missingOf(client, [...products.keys()]);
  if (signal.aborted) throw new FailedError('interrupted before the products were imported');
  const summary = { known: products.size - missing.length, created: 0, failed: 0 };
  if (missing.length === 0) return summary;
  const lines = missing.map((sku) => {
    const { name = sku, price } = products.get(sku) ?? {};
    return JSON.stringify({ sku, name: name.slice(0, 500), currency: CURRENCY, ...(price !== undefined && { price }) });
  });
  let report: ImportReport | undefined;
  for await (const line of client.importProducts(new Blob([lines.join('\n')]).stream(), { contentType: 'application/x-ndjson', query: { format: 'ndjson' } })) if (line.type === 'report') report = line;
  if (!report) throw new FailedError('the import of products ended without a report: the connection broke off');
  return { ...summary, created: report.created + report.updated, failed: report.failed };
}
