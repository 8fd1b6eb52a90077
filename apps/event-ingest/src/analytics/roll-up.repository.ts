import { inTransaction } from '@millrace/database';
import type { Pool, PoolClient } from 'pg';
import { DAY_MS, HOUR_MS } from './deltas.ts';
import type { Delta, ProductKind } from './deltas.ts';

/** How long counts are kept, milliseconds; products by hour as long as minutes. Undefined: for ever. */
export interface Retention {
  readonly minutesMs: number;
  readonly hoursMs: number;
  readonly daysMs?: number | undefined;
}

/** Beginnings of the oldest days that are kept by minute, by hour and by day: whole days, so that none is kept in part. */
export const cutoffsOf = ({ minutesMs, hoursMs, daysMs }: Retention, nowMs: number) => ({
  minute: floor(nowMs - minutesMs, DAY_MS), hour: floor(nowMs - hoursMs, DAY_MS), day: daysMs === undefined ? Number.NEGATIVE_INFINITY : floor(nowMs - daysMs, DAY_MS),
});

export const floor = (at: number, step: number): number => Math.floor(at / step) * step;

/** One at a time: roll-ups, recounts and purges never meet. Held until the transaction ends. */
export const lockCounts = async (client: PoolClient): Promise<void> => void (await client.query(`select pg_advisory_xact_lock(hashtextextended('millrace:events:analytics', 0))`));

const ROWS = 5_000;
const COUNTS = `
insert into events.analytics_counts as stored (granularity, bucket, kind, count)
select granularity::events.granularity, to_timestamp(at / 1000), kind, by from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) as given(granularity, at, kind, by)
on conflict (granularity, bucket, kind) do update set count = stored.count + excluded.count`;
const PRODUCTS = `
insert into events.analytics_products as stored (granularity, bucket, sku, views, clicks, carts, purchases)
select granularity::events.granularity, to_timestamp(at / 1000), sku, views, clicks, carts, purchases
from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) as given(granularity, at, sku, views, clicks, carts, purchases)
on conflict (granularity, bucket, sku) do update set views = stored.views + excluded.views, clicks = stored.clicks + excluded.clicks,
  carts = stored.carts + excluded.carts, purchases = stored.purchases + excluded.purchases`;

interface CountRow { readonly granularity: string; readonly at: number; readonly kind: string; by: number }
type ProductRow = { readonly granularity: string; readonly at: number; readonly sku: string } & Record<ProductKind, number>;

/** Adds to minutes, hours and days; what is older than minutes or hours are kept goes to days alone. Deltas may be negative. Call it under the lock. */
export async function addDeltas(client: PoolClient, deltas: readonly Delta[], retention: Retention, nowMs: number): Promise<void> {
  const cutoffs = cutoffsOf(retention, nowMs);
  const counts = new Map<string, CountRow>();
  const products = new Map<string, ProductRow>();
  for (const delta of deltas) {
    const [day, hour] = [floor(delta.at, DAY_MS), floor(delta.at, HOUR_MS)];
    const hoursFrom = delta.of === 'kind' ? cutoffs.hour : cutoffs.minute;
    const buckets = [...(day >= cutoffs.day ? [['day', day] as const] : []), ...(hour >= hoursFrom ? [['hour', hour] as const] : []), ...(delta.of === 'kind' && hour >= cutoffs.minute ? [['minute', delta.at] as const] : [])];
    for (const [granularity, at] of buckets) {
      const key = `${granularity} ${at} ${delta.of === 'kind' ? delta.kind : delta.sku}`;
      if (delta.of === 'kind') {
        const row = counts.get(key) ?? { granularity, at, kind: delta.kind, by: 0 };
        row.by += delta.by;
        counts.set(key, row);
      } else {
        const row = products.get(key) ?? { granularity, at, sku: delta.sku, view: 0, click: 0, add_to_cart: 0, purchase: 0 };
        row[delta.kind] += delta.by;
        products.set(key, row);
      }
    }
  }
  for (const rows of inParts([...counts.values()])) await client.query(COUNTS, [rows.map((row) => row.granularity), rows.map((row) => row.at), rows.map((row) => row.kind), rows.map((row) => row.by)]);
  for (const rows of inParts([...products.values()]))
    await client.query(PRODUCTS, [
      rows.map((row) => row.granularity), rows.map((row) => row.at), rows.map((row) => row.sku),
      rows.map((row) => row.view), rows.map((row) => row.click), rows.map((row) => row.add_to_cart), rows.map((row) => row.purchase),
    ]);
}

const inParts = <T>(rows: readonly T[]): readonly (readonly T[])[] => Array.from({ length: Math.ceil(rows.length / ROWS) }, (_none, at) => rows.slice(at * ROWS, (at + 1) * ROWS));

export interface SealedSet {
  readonly id: string;
  readonly source: string;
  readonly sealedAtMs: number;
  readonly deltas: readonly Delta[];
}

/** Adds a set of counts once, however often it comes: its id commits with it. Returns whether it was new. */
export const commitSet = (pool: Pool, { id, source, sealedAtMs, deltas }: SealedSet, retention: Retention, nowMs: number): Promise<boolean> =>
  inTransaction(pool, async (client) => {
    await lockCounts(client);
    const { rowCount } = await client.query('insert into events.analytics_rollups (id, source, sealed_at) values ($1, $2, to_timestamp($3::float8 / 1000)) on conflict do nothing', [id, source, sealedAtMs]);
    if (rowCount === 0) return false;
    await addDeltas(client, deltas, retention, nowMs);
    return true;
  });

/** How many users a day has, by source: the highest number that was ever told. */
export async function keepUsers(pool: Pool, rows: readonly { readonly day: string; readonly source: string; readonly users: number }[]): Promise<void> {
  if (rows.length === 0) return;
  await pool.query(
    `insert into events.analytics_users as stored (day, source, users) select * from unnest($1::date[], $2::text[], $3::bigint[]) as given(day, source, users) order by day, source
     on conflict (day, source) do update set users = excluded.users where stored.users < excluded.users`,
    [rows.map(({ day }) => day), rows.map(({ source }) => source), rows.map(({ users }) => users)],
  );
}

/** A set lives in Redis for a week at most; its id is remembered for longer. */
const REMEMBER_ROLLUPS_DAYS = 30;

export const purgeCounts = (pool: Pool, retention: Retention, nowMs: number): Promise<void> =>
  inTransaction(pool, async (client) => {
    await lockCounts(client);
    const { minute, hour, day } = cutoffsOf(retention, nowMs);
    const remove = (table: string, granularity: string, before: number) => client.query(`delete from events.${table} where granularity = $1 and bucket < to_timestamp($2::float8 / 1000)`, [granularity, before]);
    await remove('analytics_counts', 'minute', minute);
    await remove('analytics_products', 'hour', minute);
    await remove('analytics_counts', 'hour', hour);
    if (Number.isFinite(day)) {
      await remove('analytics_counts', 'day', day);
      await remove('analytics_products', 'day', day);
      await client.query(`delete from events.analytics_users where day < (to_timestamp($1::float8 / 1000) at time zone 'UTC')::date`, [day]);
    }
    await client.query(`delete from events.analytics_rollups where committed_at < now() - make_interval(days => ${REMEMBER_ROLLUPS_DAYS})`);
  });
