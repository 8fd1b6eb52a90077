import type { SearchChange, SearchDocument } from '../ports.ts';
import { accented, codeOf, codesOf, isAscii, wordsOf } from '../text.ts';

interface Derived {
  readonly deleted: false;
  readonly sku_code: string;
  readonly codes: readonly string[];
  readonly in_stock: boolean;
  readonly composed?: string;
  readonly exact?: readonly string[];
  readonly created_ms: number;
  readonly price_by_currency: Readonly<Record<string, number>>;
}

export type IndexedProduct = SearchDocument & Derived;

/** Elasticsearch forgets the version of a deleted document after 60 s: what must stay deleted stays as this. */
export interface Tombstone { readonly sku: string; readonly version: number; readonly deleted: true; readonly deleted_ms: number }

export type IndexedDocument = IndexedProduct | Tombstone;

// One below the mapping's depth_limit, at which Elasticsearch refuses a document for ever.
const MAX_DEPTH = 18;

/** The whole document for a change; it is never updated in part, because partial updates are not guarded by version. */
export function toIndexed({ sku, version, product }: SearchChange): IndexedDocument {
  if (product === undefined) return { sku, version, deleted: true, deleted_ms: Date.now() };
  const created = Date.parse(product.created_at);
  const text = [product.name, product.brand, product.category, product.mpn, product.description].join('\n');
  const exact = accentedWords(`${product.sku}\n${text}`);
  const composed = text.normalize('NFC');
  return {
    ...product,
    attributes: Object.fromEntries(Object.entries(product.attributes).map(([key, value]) => [key, flatten(value, 1)])),
    deleted: false,
    sku_code: codeOf(product.sku),
    codes: [...new Set([product.sku, product.mpn ?? '', ...product.ean].flatMap(codesOf))],
    in_stock: product.stock !== 0,
    ...(composed === text ? {} : { composed }),
    ...(exact.length === 0 ? {} : { exact }),
    created_ms: Number.isNaN(created) ? 0 : created,
    price_by_currency: product.price_minor === null ? {} : { [product.currency]: product.price_minor },
  };
}

/** Each once, in composed form. */
const accentedWords = (text: string): string[] =>
  isAscii(text) ? [] : [...new Set([...wordsOf(text)].flatMap(({ text: word }) => accented(word) ?? []))];

type Json = SearchDocument['attributes'][string];

/** What lies too deep becomes its JSON text. */
function flatten(value: Json, depth: number): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return JSON.stringify(value);
  if (Array.isArray(value)) return value.map((item) => flatten(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, flatten(item, depth + 1)]));
}

/** The product without what was added for searching. */
export function toProduct({ deleted, sku_code, codes, in_stock, composed, exact, created_ms, price_by_currency, ...product }: IndexedProduct): SearchDocument {
  void [deleted, sku_code, codes, in_stock, composed, exact, created_ms, price_by_currency];
  return product;
}
