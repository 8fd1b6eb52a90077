import type { Pool } from 'pg';
import { z } from 'zod';

import type { Delta, Kind, ProductKind } from './deltas.ts';
import type { Range } from './range.ts';
import { floor } from './roll-up.repository.ts';
import type { CountSet } from './unflushed.ts';

/** Counts of one granule, by kind; what is missing is 0. */
export type Counts = ReadonlyMap<Kind, number>;

/** In one statement with what is read: a set that is committed meanwhile is either in both or in neither. */
const COMMITTED = 'select id from events.analytics_rollups where id = any($4::text[])';

const countRow = z.object({ at: z.number().nullable(), kind: z.string(), count: z.number() });
const inRange = ({ from, to }: Range) => (delta: Delta): boolean => delta.at >= from && delta.at < to;

/** What Postgres has not got of these sets, of a time. */
function missing(sets: readonly CountSet[], committed: ReadonlySet<string>, range: Range): readonly Delta[] {
  return sets.filter(({ id }) => !committed.has(id)).flatMap(({ deltas }) => deltas.filter(inRange(range)));
}

const isKindRow = (row: z.output<typeof countRow>): row is { at: number; kind: Kind; count: number } => row.at !== null;

/** Counts by the beginning of their granule; those without events are not there. */
export async function readCounts(pool: Pool, range: Range, sets: readonly CountSet[]): Promise<ReadonlyMap<number, Counts>> {
  const { rows } = await pool.query(
    `select (extract(epoch from bucket) * 1000)::bigint as at, kind, count from events.analytics_counts where granularity = $1 and bucket >= to_timestamp($2::float8 / 1000) and bucket < to_timestamp($3::float8 / 1000)
     union all select null, id, 0 from (${COMMITTED}) as committed`,
    [range.granularity, range.from, range.to, sets.map(({ id }) => id)],
  );
  const parsed = z.array(countRow).parse(rows);
  const committed = new Set(parsed.filter(({ at }) => at === null).map(({ kind }) => kind));
  const counts = new Map<number, Map<Kind, number>>();
  const add = (at: number, kind: Kind, by: number): void => {
    const known = counts.get(at) ?? new Map<Kind, number>();
    counts.set(at, known.set(kind, (known.get(kind) ?? 0) + by));
  };
  for (const row of parsed) if (isKindRow(row)) add(row.at, row.kind, row.count);
  for (const delta of missing(sets, committed, range)) if (delta.of === 'kind') add(floor(delta.at, range.stepMs), delta.kind, delta.by);
  return counts;
}

/** Different users by day, milliseconds; days that nobody counted are not there. */
export async function readUsers(pool: Pool, { from, to }: Range): Promise<ReadonlyMap<number, number>> {
  const { rows } = await pool.query(
    `select (extract(epoch from day) * 1000)::bigint as at, sum(users)::bigint as users from events.analytics_users
     where day >= to_timestamp($1::float8 / 1000)::date and day < to_timestamp($2::float8 / 1000)::date group by day`,
    [from, to],
  );
  return new Map(z.array(z.object({ at: z.number(), users: z.number() })).parse(rows).map(({ at, users }) => [at, users]));
}

export const productColumns = { views: 'view', clicks: 'click', carts: 'add_to_cart', purchases: 'purchase' } as const satisfies Record<string, ProductKind>;
export type ProductColumn = keyof typeof productColumns;

const columns = { views: z.number(), clicks: z.number(), carts: z.number(), purchases: z.number() };
const productRow = z.object({ sku: z.string(), category: z.string().nullable(), brand: z.string().nullable(), ...columns });
export type ProductCounts = z.output<typeof productRow>;

/** The products with the most, of those that have any; category and brand as the catalogue has them now. */
export async function readTopProducts(pool: Pool, range: Range, { by, limit, sets }: { readonly by: ProductColumn; readonly limit: number; readonly sets: readonly CountSet[] }): Promise<readonly ProductCounts[]> {
  const fresh = sets.flatMap(({ id, deltas }) => deltas.filter(inRange(range)).flatMap((delta) => (delta.of === 'product' ? [{ id, ...delta }] : [])));
  const { rows } = await pool.query(
    `with given as (
       select sku, views, clicks, carts, purchases from events.analytics_products
       where granularity = $1 and bucket >= to_timestamp($2::float8 / 1000) and bucket < to_timestamp($3::float8 / 1000)
       union all
       select sku, case kind when 'view' then by else 0 end, case kind when 'click' then by else 0 end, case kind when 'add_to_cart' then by else 0 end, case kind when 'purchase' then by else 0 end
       from unnest($4::text[], $5::text[], $6::text[], $7::bigint[]) as fresh(id, sku, kind, by) where not exists (select from events.analytics_rollups rollup where rollup.id = fresh.id)
     ), top as (
       select sku, sum(views)::bigint as views, sum(clicks)::bigint as clicks, sum(carts)::bigint as carts, sum(purchases)::bigint as purchases
       from given group by sku having sum(${by}) > 0 order by sum(${by}) desc, sku limit $8
     )
     select top.*, item.category, item.brand from top left join events.items item using (sku) order by ${by} desc, sku`,
    [range.granularity, range.from, range.to, fresh.map(({ id }) => id), fresh.map(({ sku }) => sku), fresh.map(({ kind }) => kind), fresh.map((delta) => delta.by), limit],
  );
  return z.array(productRow).parse(rows);
}

/** Up to when everything is rolled up, at least; null where nothing ever was. For answers without Redis. */
export async function readRolledUpTo(pool: Pool): Promise<number | null> {
  const { rows } = await pool.query('select (extract(epoch from min(newest)) * 1000)::bigint as at from (select max(sealed_at) as newest from events.analytics_rollups group by source) as of_source');
  return z.array(z.object({ at: z.number().nullable() })).parse(rows)[0]?.at ?? null;
}

/** When the oldest event was taken that Redis has not got yet; null: there is none. */
export async function readOldestDeferred(pool: Pool): Promise<number | null> {
  const { rows } = await pool.query('select (extract(epoch from created_at) * 1000)::bigint as at from events.deferred_events order by seq limit 1');
  return z.array(z.object({ at: z.number() })).parse(rows)[0]?.at ?? null;
}

