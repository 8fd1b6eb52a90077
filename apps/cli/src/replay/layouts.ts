import { createHash } from 'node:crypto';
import { UsageError } from '../usage-error.ts';
import type { FileRow } from './file-rows.ts';

export type LayoutName = 'events' | 'online-retail' | 'otto';
export const layoutNames: readonly LayoutName[] = ['events', 'online-retail', 'otto'];

/** An event as it will be sent, a row that is none on purpose, or one that is wrong. */
export type Draft =
  | { readonly line: number; readonly event: Readonly<Record<string, unknown>>; readonly atMs: number | undefined }
  | { readonly line: number; readonly skipped: string }
  | { readonly line: number; readonly problem: string };

type Columns = Readonly<Record<string, unknown>>;
export type Layout = (row: Extract<FileRow, { readonly record: unknown }>) => readonly Draft[];

/** The same row of the same file has the same id: what is sent twice counts once. */
const idOf = (line: number, content: string, index = 0): string => `r-${createHash('sha256').update(`${line}\n${index}\n${content}`).digest('base64url').slice(0, 22)}`;

const MDY = /^(\d{1,2})\/(\d{1,2})\/(\d{4}) (\d{1,2}):(\d{2})(?::(\d{2}))?$/;
const YMD = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?$/;
const pad = (text = '0'): string => text.padStart(2, '0');

/** Milliseconds since 1970, of a number, ISO 8601, or a local form, which counts as UTC; undefined: none of them. */
export function parseTime(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  if (/^\d{12,15}$/.test(value)) return Number(value);
  const [, day, minutes, seconds = ':00'] = YMD.exec(value) ?? [];
  const [, m, d, year, h, min, s] = MDY.exec(value) ?? [];
  const iso = day !== undefined ? `${day}T${minutes}${seconds}Z` : year !== undefined ? `${year}-${pad(m)}-${pad(d)}T${pad(h)}:${min}:${pad(s)}Z` : /^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})$/.test(value) ? value : '';
  const at = Date.parse(iso);
  return Number.isNaN(at) ? undefined : at;
}

const toText = (value: unknown): string => (typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : '');
const first = (record: Columns, ...names: readonly string[]): unknown => names.map((name) => record[name]).find((value) => value !== undefined);

/** UCI 352 and 502: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country. Returns and rows without a customer are no purchases. */
const onlineRetail: Layout = ({ line, record, content }) => {
  const customer = toText(first(record, 'CustomerID', 'Customer ID')).replace(/\.0$/, '');
  const quantity = Number(first(record, 'Quantity'));
  if (customer === '' || customer === 'NaN') return [{ line, skipped: 'no customer' }];
  if (Number.isNaN(quantity)) return [{ line, problem: '/Quantity is not a number' }];
  if (quantity <= 0) return [{ line, skipped: 'returned or no quantity' }];
  const atMs = parseTime(record['InvoiceDate']);
  if (atMs === undefined) return [{ line, problem: '/InvoiceDate is not a time such as 2010-12-01 08:26:00' }];
  const metadata = { order: toText(first(record, 'InvoiceNo', 'Invoice')), quantity, price: Number(first(record, 'UnitPrice', 'Price')), country: toText(record['Country']) };
  return [{ line, atMs, event: { user_id: customer, asin: toText(record['StockCode']), event_type: 'purchase', event_id: idOf(line, content), timestamp: atMs, metadata } }];
};

const OTTO_TYPES: Readonly<Record<string, string>> = { clicks: 'click', carts: 'add_to_cart', orders: 'purchase' };
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** otto-de/recsys-dataset: {session, events: [{aid, ts, type}]}, ts in milliseconds. A session is an anonymous user. */
const otto: Layout = ({ line, record, content }) => {
  const { session, events } = record;
  if (!Array.isArray(events)) return [{ line, problem: '/events is not a list' }];
  return events.map((one: unknown, index): Draft => {
    if (!isRecord(one)) return { line, problem: `/events/${index} is not an object` };
    const atMs = parseTime(one['ts']);
    const type = toText(one['type']);
    if (atMs === undefined) return { line, problem: `/events/${index}/ts is not a time in milliseconds` };
    return { line, atMs, event: { user_id: `anon:otto-${toText(session)}`, asin: toText(one['aid']), event_type: OTTO_TYPES[type] ?? type, event_id: idOf(line, content, index), timestamp: atMs, session_id: toText(session) } };
  });
};

const FIELDS = ['user_id', 'asin', 'event_type', 'event_id', 'timestamp', 'session_id', 'ranking_id', 'rating', 'metadata'] as const;
const isField = (name: string): boolean => FIELDS.some((field) => field === name);

export interface Mapping {
  readonly field: string;
  readonly column?: string;
  readonly constant?: string;
}

/** `field=column`, or `field==text` for the same text in every row. */
export function parseMapping(given: string): Mapping {
  const [, field = '', isConstant, rest = ''] = /^([a-z_]+)=(=?)(.+)$/s.exec(given) ?? [];
  if (!isField(field) || field === 'metadata') throw new UsageError(`--map ${given} is not field=column or field==text: fields are ${FIELDS.filter((name) => name !== 'metadata').join(', ')}`);
  return isConstant === '=' ? { field, constant: rest } : { field, column: rest };
}

/** An empty text of CSV is no value; `rating` is a number there. */
function valueOf(field: string, value: unknown): unknown {
  if (value === '' || value === null) return undefined;
  if (field === 'timestamp') return parseTime(value) ?? value;
  return field === 'rating' && typeof value === 'string' && !Number.isNaN(Number(value)) ? Number(value) : value;
}

/** Columns that are no field, as metadata. */
function metadataOf(record: Columns, used: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([name, value]) => !used.has(name) && !isField(name) && value !== '' && value !== null));
}

/** Events of Millrace (bodies of POST /api/event), or rows with the fields as columns, or with columns that are mapped to them. */
const eventsLayout = (mappings: readonly Mapping[], isFlat: boolean): Layout => ({ line, record, content }) => {
  const used = new Set(mappings.flatMap(({ column }) => column ?? []));
  const named = Object.entries(record).filter(([name]) => !isFlat || isField(name)).filter(([name]) => !used.has(name));
  const mapped = mappings.map(({ field, column, constant }) => [field, constant ?? record[column ?? '']] as const);
  const event = Object.fromEntries([...named, ...mapped].map(([name, value]) => [name, isFlat ? valueOf(name, value) : value]).filter(([, value]) => value !== undefined));
  const more = isFlat ? metadataOf(record, used) : {};
  const metadata = isRecord(event['metadata']) ? { ...more, ...event['metadata'] } : (event['metadata'] ?? (Object.keys(more).length > 0 ? more : undefined));
  const own = isRecord(metadata) ? metadata['timestamp'] : undefined;
  return [{ line, atMs: parseTime(event['timestamp'] ?? own), event: { ...event, event_id: event['event_id'] ?? idOf(line, content), ...(metadata !== undefined && { metadata }) } }];
};

export interface LayoutOptions {
  /** undefined: by the first row. */
  readonly layout: LayoutName | undefined;
  readonly mappings: readonly Mapping[];
  /** Rows of CSV and Parquet have columns instead of nested values. */
  readonly isTable: boolean;
}

export function detectLayout(record: Columns, { layout, mappings }: LayoutOptions): LayoutName {
  if (layout !== undefined || mappings.length > 0) return layout ?? 'events';
  if ('StockCode' in record && 'InvoiceDate' in record) return 'online-retail';
  return 'session' in record && Array.isArray(record['events']) ? 'otto' : 'events';
}

/** How rows become events; decided by the first of them where it is not said. */
export function layoutOf(record: Columns, options: LayoutOptions): Layout {
  const name = detectLayout(record, options);
  if (name === 'events') return eventsLayout(options.mappings, options.isTable || options.mappings.length > 0);
  return name === 'otto' ? otto : onlineRetail;
}
