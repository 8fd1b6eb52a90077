/** icecat-19k of the shared data folder: products as search documents, and queries with graded judgments. Never part of the product. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Product } from '@millrace/contracts';

export interface JudgedQuery { readonly text: string; readonly grades: ReadonlyMap<string, number> }
export interface Icecat { readonly products: Product[]; readonly queries: JudgedQuery[] }

interface IcecatRow {
  readonly sku: string; readonly name: string; readonly description?: string | null; readonly brand?: string | null; readonly mpn?: string | null;
  readonly ean?: string[]; readonly price_cents?: number | null; readonly image?: string | null; readonly attributes?: Product['attributes'];
}

export const sharedFolder = (): string => process.env['MILLRACE_SHARED'] ?? join(import.meta.dirname, '../../../shared');

/** Undefined where the shared data is not on this machine. */
export function loadIcecat(): Icecat | undefined {
  const folder = join(sharedFolder(), 'data/icecat-19k');
  if (!existsSync(join(folder, 'products.ndjson.gz'))) return undefined;
  // By "\n" alone: some texts hold U+2028.
  const lines = gunzipSync(readFileSync(join(folder, 'products.ndjson.gz'))).toString('utf8').split('\n').filter(Boolean);
  const grades = new Map<string, Map<string, number>>();
  for (const [query = '', sku = '', grade] of readTsv(join(folder, 'judgments.tsv'))) {
    const judged = grades.get(query) ?? new Map<string, number>();
    grades.set(query, judged.set(sku, Number(grade)));
  }
  return {
    products: lines.map((line) => toProduct(JSON.parse(line))),
    queries: readTsv(join(folder, 'queries.tsv')).map(([id = '', text = '']) => ({ text, grades: grades.get(id) ?? new Map() })),
  };
}

const readTsv = (path: string): string[][] => readFileSync(path, 'utf8').trim().split('\n').slice(1).map((line) => line.split('\t'));

function toProduct(row: IcecatRow): Product {
  const cents = row.price_cents ?? null;
  return {
    sku: row.sku, version: 1, content_version: 1, merchant_id: 1, name: row.name, description: row.description ?? null, category: null,
    brand: row.brand ?? null, mpn: row.mpn ?? null, ean: row.ean ?? [], price: cents === null ? null : cents / 100, price_minor: cents,
    currency: 'USD', stock: null, image_url: row.image ?? null, attributes: row.attributes ?? {}, status: 'active',
    created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z',
  };
}
