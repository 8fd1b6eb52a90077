import { searchesIn } from '@millrace/contracts';
import type { Interaction, SearchEvent } from '@millrace/contracts';

export const kinds = ['view', 'click', 'add_to_cart', 'purchase', 'rate', 'search', 'search_no_hits'] as const;
export type Kind = (typeof kinds)[number];
export const productKinds = ['view', 'click', 'add_to_cart', 'purchase'] as const;
export type ProductKind = (typeof productKinds)[number];

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** How much was counted: of one kind in a minute, or of one kind and product in an hour. Times are milliseconds since 1970, the beginning of the minute or hour. */
export type Delta =
  | { readonly of: 'kind'; readonly at: number; readonly kind: Kind; readonly by: number }
  | { readonly of: 'product'; readonly at: number; readonly kind: ProductKind; readonly sku: string; readonly by: number };

/** Counts by the name of their field in Redis. */
export type Fields = ReadonlyMap<string, number>;

const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text);
const isProductKind = (text: string): text is ProductKind => productKinds.some((kind) => kind === text);

const minuteField = (atMs: number, kind: Kind): string => `c:${Math.floor(atMs / MINUTE_MS)}:${kind}`;
const productField = (atMs: number, kind: ProductKind, sku: string): string => `p:${Math.floor(atMs / HOUR_MS)}:${kind}:${sku}`;

const sumOf = (fields: Iterable<string>, times = 1, sums = new Map<string, number>()): Map<string, number> => {
  for (const field of fields) sums.set(field, (sums.get(field) ?? 0) + times);
  return sums;
};

/** By the time that the event says, whenever it comes. Ratings are counted, not by product. */
export const sumInteractions = (events: readonly Interaction[]): Fields =>
  sumOf(events.flatMap(({ type, asin, meta }) => {
    const at = Date.parse(meta.timestamp);
    return [minuteField(at, type), ...(isProductKind(type) ? [productField(at, type, asin)] : [])];
  }));

/** While no index answered, hits say nothing. */
export function sumSearches(events: readonly SearchEvent[]): Fields {
  const sums = new Map<string, number>();
  for (const event of events) {
    const at = Date.parse(event.meta.timestamp);
    sumOf([minuteField(at, 'search'), ...(event.hits === 0 && !event.degraded ? [minuteField(at, 'search_no_hits')] : [])], searchesIn(event), sums);
  }
  return sums;
}

const FIELD = /^([cp]):(-?\d+):([a-z_]+)(?::([\s\S]+))?$/;

/** undefined: a field that is no count (`id`), or of another format. */
export function toDelta(field: string, by: number): Delta | undefined {
  const [, of, unit, kind = '', sku] = FIELD.exec(field) ?? [];
  if (of === 'c' && sku === undefined && isKind(kind)) return { of: 'kind', at: Number(unit) * MINUTE_MS, kind, by };
  if (of === 'p' && sku !== undefined && isProductKind(kind)) return { of: 'product', at: Number(unit) * HOUR_MS, kind, sku, by };
  return undefined;
}

const utcDay = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);

/** Days (UTC) of which different users are counted now: an event that comes later than the day after its own is in none. */
export const userDays = (nowMs: number): readonly string[] => [utcDay(nowMs - DAY_MS), utcDay(nowMs)];

/** Users by their day, of those days. */
export function usersByDay(events: readonly Interaction[], nowMs: number): ReadonlyMap<string, ReadonlySet<string>> {
  const days = new Map(userDays(nowMs).map((day) => [day, new Set<string>()]));
  for (const { user_id: id, meta } of events) days.get(meta.timestamp.slice(0, 10))?.add(id);
  return new Map([...days].filter(([, users]) => users.size > 0));
}
