import type { SkuRange } from '@millrace/contracts';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { CatalogDb } from './database.ts';

/** What readers may find; skus compare by bytes (collation "C"). */
const inRange = ({ from, to }: SkuRange): RawBuilder<boolean> => sql<boolean>`
  p.deleted_at is null and p.status = 'active'
  and ${from === undefined ? sql`true` : sql`p.sku >= ${from}`} and ${to === undefined ? sql`true` : sql`p.sku < ${to}`}`;

export interface DigestBucket {
  readonly first: string;
  readonly products: number;
  readonly digest: string;
}

/**
 * The active products of a range in buckets of equal size, by sku. Digest: XOR over the products of the first 64 bits of
 * SHA-256("<sku>\n<version>"), as 16 hex digits; libs/projection/src/version-digest.ts computes the same.
 */
export async function readDigests(db: CatalogDb, range: SkuRange, buckets: number): Promise<readonly DigestBucket[]> {
  const found = await sql<DigestBucket>`
    with wanted as (select p.sku, p.version, ntile(${buckets}) over (order by p.sku) as bucket from catalog.products p where ${inRange(range)})
    select min(sku) as first, count(*)::int as products,
      lpad(to_hex(bit_xor(('x' || left(encode(sha256(convert_to(sku || E'\n' || version, 'UTF8')), 'hex'), 16))::bit(64)::bigint)), 16, '0') as digest
    from wanted group by bucket order by bucket`.execute(db);
  return found.rows;
}

/** The highest version that was ever drawn: no store can rightly have a higher one. */
export async function readLastVersion(db: CatalogDb): Promise<number> {
  const found = await sql<{ version: number }>`select case when is_called then last_value else 0 end as version from catalog.product_version`.execute(db);
  return found.rows[0]?.version ?? 0;
}

export interface VersionRow { readonly sku: string; readonly version: number }

/** One page of active products by sku. */
export async function readVersionPage(db: CatalogDb, range: SkuRange & { readonly after?: string }, limit: number): Promise<readonly VersionRow[]> {
  const behind = range.after === undefined ? sql`true` : sql`p.sku > ${range.after}`;
  const found = await sql<VersionRow>`select p.sku, p.version from catalog.products p where ${inRange(range)} and ${behind} order by p.sku limit ${limit}`.execute(db);
  return found.rows;
}

export interface StateRow { readonly state: string }

/** The present states of these skus as JSON texts: products and tombstones. Those that the catalogue does not know are left out. */
export async function readStates(db: CatalogDb, skus: readonly string[]): Promise<readonly string[]> {
  const found = await sql<StateRow>`
    select case when p.deleted_at is null then '{"type":"product","product":' || catalog.product_json(p)::text || '}'
      else '{"type":"tombstone","sku":' || to_json(p.sku)::text || ',"version":' || p.version || ',"updated_at":' || to_json(p.updated_at)::text || '}' end as state
    from catalog.products p where p.sku = any(${[...skus]}::text[])`.execute(db);
  return found.rows.map(({ state }) => state);
}
