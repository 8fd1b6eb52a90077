import { newProductSchema } from '@millrace/contracts';
import type { NewProduct } from '@millrace/contracts';
import { sentenceOf, toPointer } from '@millrace/http';
import { AppError } from '@millrace/service';

/** One `--map field=column:factor`. */
export interface ColumnMapping {
  readonly field: string;
  readonly column: string;
  /** Decimal text; amounts are multiplied exactly, never as floats. */
  readonly factor?: string;
}

const FIELDS = new Set(['sku', 'merchant_id', 'name', 'description', 'category', 'brand', 'mpn', 'ean', 'price', 'currency', 'stock', 'image_url', 'attributes', 'status']);
/** Written by the database: an export can be imported again. */
const IGNORED = new Set(['version', 'content_version', 'price_minor', 'created_at', 'updated_at']);
const INTEGERS = new Set(['merchant_id', 'stock']);

/** Parses `field=column[:factor]`; throws invalid_request with a sentence for anything else. */
export function parseMappings(texts: readonly string[]): readonly ColumnMapping[] {
  return texts.map((text) => {
    const match = /^([a-z_]+)=(.+?)(?::(\d{1,12}(?:\.\d{1,12})?))?$/.exec(text);
    const [, field = '', column = '', factor] = match ?? [];
    if (!match || !FIELDS.has(field))
      throw new AppError('invalid_request', `the mapping "${text.slice(0, 100)}" is not field=column or field=column:factor with one of the fields ${[...FIELDS].join(', ')}`, { details: [{ in: 'query', pointer: '/map', detail: 'is not a mapping' }] });
    return { field, column, ...(factor !== undefined && { factor }) };
  });
}

/** A cell may have a million characters, and such numbers would stand still for minutes. */
const MAX_DECIMAL = 100;

/** Exact product of two decimals, as decimal text; undefined where a part is no decimal of at most 100 characters. */
export function multiplyDecimals(a: string, b: string): string | undefined {
  if (a.length > MAX_DECIMAL || b.length > MAX_DECIMAL) return undefined;
  const parts = [a.trim(), b].map((text) => /^(-?)(\d+)(?:\.(\d+))?$/.exec(text));
  const [x, y] = parts;
  if (!x || !y) return undefined;
  const decimals = (x[3]?.length ?? 0) + (y[3]?.length ?? 0);
  const digits = (BigInt(`${x[2]}${x[3] ?? ''}`) * BigInt(`${y[2]}${y[3] ?? ''}`)).toString().padStart(decimals + 1, '0');
  const whole = decimals === 0 ? digits : digits.slice(0, -decimals);
  const fraction = decimals === 0 ? '' : digits.slice(-decimals).replace(/0+$/, '');
  return `${x[1] ?? ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

const scaled = (value: unknown, factor: string | undefined): unknown =>
  factor === undefined || (typeof value !== 'string' && typeof value !== 'number') ? value : (multiplyDecimals(String(value), factor) ?? value);

/** Text of a CSV cell becomes what the field's type is; values of the right type stay. */
function coerce(field: string, value: unknown): unknown {
  if (typeof value !== 'string') return field === 'price' || value !== undefined ? value : undefined;
  const text = value.trim();
  if (text === '') return undefined;
  if (INTEGERS.has(field)) return /^-?\d+$/.test(text) ? Number(text) : value;
  if (field === 'ean') return text.split(/[\s,;|]+/);
  if (field === 'attributes') return parseObject(text);
  return text;
}

function parseObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

export interface RowProblem { readonly code: string; readonly pointer: string; readonly detail: string; readonly sku: string | null }
export type MappedRow = { readonly product: NewProduct & { readonly currency: string } } | { readonly problem: RowProblem };

const target = (column: string): string => (column === 'image' ? 'image_url' : column);

/**
 * A record of the file to a product. Explicit mappings first, then same-named columns (`image` to image_url); what is left goes to
 * attributes. A missing currency is `currency`, a missing merchant 1, a missing status active.
 */
export function createRowMapper({ mappings, currency }: { readonly mappings: readonly ColumnMapping[]; readonly currency: string }): (record: Readonly<Record<string, unknown>>) => MappedRow {
  const mapped = new Set(mappings.map((mapping) => mapping.column));
  return (record) => {
    const candidate: Record<string, unknown> = {};
    const attributes: Record<string, unknown> = {};
    for (const [column, value] of Object.entries(record)) {
      if (mapped.has(column)) continue;
      const field = target(column);
      if (FIELDS.has(field)) candidate[field] = coerce(field, value);
      else if (!IGNORED.has(column) && value !== null && value !== '') attributes[column] = value;
    }
    for (const { field, column, factor } of mappings) {
      const value = record[column];
      if (value !== null && value !== undefined) candidate[field] = coerce(field, scaled(value, factor));
    }
    const own = candidate['attributes'] ?? {};
    if (isObject(own)) candidate['attributes'] = { ...own, ...attributes };
    candidate['currency'] ??= currency;
    for (const [field, value] of Object.entries(candidate)) if (value === undefined) delete candidate[field];
    return check(candidate, currency);
  };
}

function check(candidate: Record<string, unknown>, currency: string): MappedRow {
  const parsed = newProductSchema.safeParse(candidate);
  if (parsed.success) return { product: { ...parsed.data, currency: parsed.data.currency ?? currency } };
  const issue = parsed.error.issues[0];
  const sku = typeof candidate['sku'] === 'string' ? candidate['sku'].slice(0, 128) : null;
  const missing = issue?.path.length === 1 && candidate[String(issue.path[0])] === undefined;
  return { problem: { code: 'invalid_row', pointer: toPointer(issue?.path ?? []), detail: missing ? 'is missing' : issue ? sentenceOf(issue) : 'is not valid', sku } };
}
