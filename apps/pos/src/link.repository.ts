import { inTransaction } from '@millrace/database';
import type { Pool } from 'pg';
import { raiseFence } from './fence.ts';
import type { SharedValues } from './merge-product.ts';

/** A product of the POS and the one of the catalogue. */
export interface Link {
  readonly posId: number;
  readonly sku: string;
  /** The synchronisation made it: without the POS it goes. */
  readonly createdHere: boolean;
  readonly base: SharedValues;
  readonly pending: SharedValues | null;
  readonly isRemoved: boolean;
}

interface Row { pos_id: number; sku: string; created_here: boolean; base: SharedValues; pending: SharedValues | null; is_removed: boolean }
const toLink = (row: Row): Link => ({ posId: row.pos_id, sku: row.sku, createdHere: row.created_here, base: row.base, pending: row.pending, isRemoved: row.is_removed });
const COLUMNS = 'pos_id, sku, created_here, base, pending, removed_at is not null as is_removed';

/** By id of the POS, those that are removed too. */
export async function findLinks(pool: Pool, posIds: readonly number[]): Promise<ReadonlyMap<number, Link>> {
  const { rows } = await pool.query<Row>(`select ${COLUMNS} from pos.links where pos_id = any($1)`, [posIds]);
  return new Map(rows.map((row) => [row.pos_id, toLink(row)]));
}

/** Skus that products other than these have now. */
export async function findTaken(pool: Pool, skus: readonly string[], posIds: readonly number[]): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query<{ sku: string }>('select distinct sku from pos.links where sku = any($1) and pos_id <> all($2) and removed_at is null', [skus, posIds]);
  return new Set(rows.map(({ sku }) => sku));
}

/** Products that are linked now. */
export async function countLinks(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from pos.links where removed_at is null');
  return rows[0]?.count ?? 0;
}

export interface Intent { readonly posId: number; readonly sku: string; readonly createdHere: boolean; readonly pending: SharedValues }

/** Before something is written into the catalogue: what and for whom, so that after a crash our own writes are known as ours. */
export async function noteIntents(pool: Pool, fence: number, intents: readonly Intent[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    await raiseFence(client, fence);
    await client.query(`
      insert into pos.links as l (pos_id, sku, created_here, pending)
      select * from unnest($1::bigint[], $2::text[], $3::boolean[], $4::jsonb[])
      on conflict (pos_id) do update set pending = excluded.pending, created_here = case when l.removed_at is not null then excluded.created_here else l.created_here or (l.sku = excluded.sku and excluded.created_here) end`,
    [intents.map(({ posId }) => posId), intents.map(({ sku }) => sku), intents.map(({ createdHere }) => createdHere), intents.map(({ pending }) => JSON.stringify(pending))]);
  });
}

export interface Settled { readonly posId: number; readonly sku: string; readonly createdHere: boolean; readonly base: SharedValues }

/** After it: the products are as the POS says. A sku that was another product's is theirs now; `removed` are gone from the POS. */
export async function settleLinks(pool: Pool, fence: number, { settled, removed }: { readonly settled: readonly Settled[]; readonly removed: readonly number[] }): Promise<void> {
  const ids = settled.map(({ posId }) => posId);
  const skus = settled.map(({ sku }) => sku);
  await inTransaction(pool, async (client) => {
    await raiseFence(client, fence);
    await client.query(`
      insert into pos.links as l (pos_id, sku, created_here, base)
      select * from unnest($1::bigint[], $2::text[], $3::boolean[], $4::jsonb[])
      on conflict (pos_id) do update set created_here = excluded.created_here or (l.created_here and l.sku = excluded.sku), sku = excluded.sku, base = excluded.base, pending = null, removed_at = null, updated_at = now()`,
    [ids, skus, settled.map(({ createdHere }) => createdHere), settled.map(({ base }) => JSON.stringify(base))]);
    await client.query('update pos.links set removed_at = now() where sku = any($1) and pos_id <> all($2) and removed_at is null', [skus, ids]);
    await client.query('update pos.links set removed_at = now(), pending = null where pos_id = any($1) and removed_at is null', [removed]);
  });
}
