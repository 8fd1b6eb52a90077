import type { ProjectedChange } from '@millrace/projection';
import { sql } from 'kysely';
import type { EventsDb } from './database.ts';

export interface KnownItem {
  readonly sku: string;
  readonly version: number;
  readonly category: string | null;
  readonly brand: string | null;
}

/** Keeps the newest version of each item, fills in stubs, and marks what is gone: rows are never deleted, the log refers to them. Safe to repeat, in any order. */
export async function keepItems(db: EventsDb, changes: readonly ProjectedChange[]): Promise<void> {
  if (changes.length === 0) return;
  const sorted = changes.toSorted((a, b) => (a.sku < b.sku ? -1 : 1));
  await sql`
    insert into events.items as items (sku, version, category, brand, is_deleted)
    select * from unnest(${sorted.map(({ sku }) => sku)}::text[], ${sorted.map(({ version }) => version)}::bigint[], ${sorted.map(({ product }) => product?.category ?? null)}::text[],
      ${sorted.map(({ product }) => product?.brand ?? null)}::text[], ${sorted.map(({ product }) => product === undefined)}::boolean[])
    on conflict (sku) do update set version = excluded.version, is_deleted = excluded.is_deleted,
      category = case when excluded.is_deleted then items.category else excluded.category end, brand = case when excluded.is_deleted then items.brand else excluded.brand end
    where items.version < excluded.version`.execute(db);
}

export async function findItems(db: EventsDb, skus: readonly string[]): Promise<readonly KnownItem[]> {
  const { rows } = await sql<KnownItem>`select sku, version, category, brand from events.items where sku = any(${skus}::text[]) and version > 0`.execute(db);
  return rows;
}
