import { sql } from 'kysely';
import type { CatalogDb } from './database.ts';

/** Sessions with this application name only read: they never hold the watermark back. */
export const READER_NAME = 'catalog-api-read';

/**
 * Where the next sweep may begin: the oldest start among this role's running writing transactions, else now. Every row that becomes
 * visible later has an updated_at (its transaction's start) at or after it. Must be read before the rows.
 */
export async function readWatermark(db: CatalogDb): Promise<string> {
  const found = await sql<{ watermark: string }>`
    select to_char(coalesce(min(xact_start), clock_timestamp()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as watermark
    from pg_stat_activity
    where usename = current_user and datname = current_database() and xact_start is not null and application_name <> ${READER_NAME}`.execute(db);
  return found.rows[0]?.watermark ?? new Date().toISOString();
}

export interface ExportRow {
  readonly sku: string;
  readonly updatedAt: string;
  /** The NDJSON line without its `after`: a product or a tombstone, as JSON text that is passed on unparsed. */
  readonly line: string;
}

export interface ExportPage {
  readonly updatedSince?: string;
  readonly after?: { readonly updatedAt: string; readonly sku: string };
  readonly limit: number;
}

/** One page of products and tombstones by (updated_at, sku). */
export async function readExportPage(db: CatalogDb, { updatedSince, after, limit }: ExportPage): Promise<readonly ExportRow[]> {
  const since = updatedSince === undefined ? sql`true` : sql`p.updated_at >= ${updatedSince}::timestamptz`;
  const behind = after ? sql`(p.updated_at, p.sku) > (${after.updatedAt}::timestamptz, ${after.sku})` : sql`true`;
  const page = await sql<ExportRow>`
    select p.sku, to_char(p.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "updatedAt",
      case when p.deleted_at is null then '"type":"product","product":' || catalog.product_json(p)::text
        else '"type":"tombstone","sku":' || to_json(p.sku)::text || ',"version":' || p.version || ',"updated_at":' || to_json(p.updated_at)::text end as line
    from catalog.products p where ${since} and ${behind} order by p.updated_at, p.sku limit ${limit}`.execute(db);
  return page.rows;
}
