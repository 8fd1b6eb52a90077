import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toMinor } from '@millrace/contracts';
import type { NewProduct } from '@millrace/contracts';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { CatalogDb, CatalogTrx } from './database.ts';

export type ImportProduct = NewProduct & { readonly currency: string };
export interface ImportCounts { readonly created: number; readonly updated: number; readonly unchanged: number }

const columns = ['merchant_id', 'name', 'description', 'category', 'brand', 'mpn', 'ean', 'price', 'price_minor', 'currency', 'stock', 'image_url', 'attributes', 'status'];
const recordType = `(sku text, merchant_id integer, name text, description text, category text, brand text, mpn text, ean text[], price numeric, price_minor bigint,
  currency text, stock integer, image_url text, attributes jsonb, status catalog.product_status)`;

const toRecord = (product: ImportProduct): Record<string, unknown> => ({ ...product, price_minor: product.price === null ? null : toMinor(product.price, product.currency) });

/** Rows of one statement: skus must be distinct. Sorted, so that two imports of the same skus cannot deadlock. */
const batchRows = (products: readonly ImportProduct[]): RawBuilder<unknown> => sql`jsonb_to_recordset(${JSON.stringify(products.map(toRecord))}::jsonb) as r${sql.raw(recordType)}`;
/** The last row of each staged sku. */
const stagedRows = sql`(select distinct on (s.data->>'sku') r.* from import_stage s, jsonb_to_record(s.data) as r${sql.raw(recordType)} order by s.data->>'sku', s.line desc) r`;

type Written = { readonly created: number; readonly updated: number };

/** One statement: creates, changes, or leaves alone (no new version) each row. */
function upsertStatement(rows: RawBuilder<unknown>): RawBuilder<Written> {
  const list = sql.raw(columns.join(', '));
  const assignments = sql.raw([...columns.map((column) => `${column} = excluded.${column}`), 'deleted_at = null'].join(', '));
  return sql<Written>`
    with written as (
      insert into catalog.products as p (sku, ${list}) select r.sku, ${sql.raw(columns.map((column) => `r.${column}`).join(', '))} from ${rows} order by r.sku
      on conflict (sku) do update set ${assignments}
      returning p.created_at = p.updated_at as is_new)
    select count(*) filter (where is_new) as created, count(*) filter (where not is_new) as updated from written`;
}

const toCounts = (written: Written | undefined, rows: number): ImportCounts => {
  const { created, updated } = written ?? { created: 0, updated: 0 };
  return { created, updated, unchanged: rows - created - updated };
};

/** Upserts one batch of distinct skus. */
export async function upsertBatch(trx: CatalogTrx, products: readonly ImportProduct[]): Promise<ImportCounts> {
  const { rows } = await upsertStatement(batchRows(products)).execute(trx);
  return toCounts(rows[0], products.length);
}

const tuple = (alias: string): string => `(${columns.map((column) => `${alias}.${column}`).join(', ')})`;

/** What `upsertBatch` would do, without doing it. */
export async function compareBatch(db: CatalogDb, products: readonly ImportProduct[]): Promise<ImportCounts> {
  const found = await sql<Written>`
    select count(*) filter (where p.sku is null or p.deleted_at is not null) as created,
      count(*) filter (where p.deleted_at is null and p.sku is not null and ${sql.raw(tuple('p'))} is distinct from ${sql.raw(tuple('r'))}) as updated
    from ${batchRows(products)} left join catalog.products p on p.sku = r.sku collate "C"`.execute(db);
  return toCounts(found.rows[0], products.length);
}

/** Merchant ids that the batch names and that do not exist. */
export async function findUnknownMerchants(db: CatalogDb, ids: readonly number[]): Promise<ReadonlySet<number>> {
  const known = await db.selectFrom('catalog.merchants').select('id').where('id', 'in', [...ids]).execute();
  const existing = new Set(known.map((row) => row.id));
  return new Set(ids.filter((id) => !existing.has(id)));
}

export interface StagedRow { readonly line: number; readonly product: ImportProduct }

const copyText = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');

/** Streams rows by COPY into a temporary table of this session: disk, not memory, holds an import of any size. */
export async function stageRows(client: PoolClient, rows: AsyncIterable<StagedRow>): Promise<void> {
  await client.query('create temporary table import_stage (line bigint, data jsonb) on commit drop');
  const lines = async function* (): AsyncGenerator<string> {
    for await (const { line, product } of rows) yield `${line}\t${copyText(JSON.stringify(toRecord(product)))}\n`;
  };
  await pipeline(Readable.from(lines()), client.query(copyFrom('copy import_stage (line, data) from stdin')));
}

/** Applies what was staged in this session, in one statement of its transaction. */
export async function upsertStaged(client: PoolClient, db: CatalogDb, rows: number): Promise<ImportCounts> {
  const statement = upsertStatement(stagedRows).compile(db);
  const { rows: written } = await client.query<Written>(statement.sql, [...statement.parameters]);
  return toCounts(written[0], rows);
}
