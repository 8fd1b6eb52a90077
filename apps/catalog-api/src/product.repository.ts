import { toMinor } from '@millrace/contracts';
import type { NewProduct, Product, ProductPatch } from '@millrace/contracts';
import { FOREIGN_KEY_VIOLATION, isViolation } from '@millrace/database';
import { checkIfMatch, formatEtag } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import { sql } from 'kysely';
import type { CatalogDb, CatalogTrx } from './database.ts';

/** The one JSON form of a product (see migration 001). */
const productJson = (alias: string) => sql<Product>`catalog.product_json(${sql.ref(alias)})`;

/** The product, or undefined for an unknown or deleted sku. */
export async function findProduct(db: CatalogDb, sku: string): Promise<Product | undefined> {
  const row = await db.selectFrom('catalog.products as p').select(productJson('p').as('product')).where('sku', '=', sku).where('deleted_at', 'is', null).executeTakeFirst();
  return row?.product;
}

export async function getProduct(db: CatalogDb, sku: string): Promise<Product> {
  const product = await findProduct(db, sku);
  if (!product) throw notFound(`the product ${sku}`);
  return product;
}

/** Those of the products that exist, by sku. */
export async function findProducts(db: CatalogDb, skus: readonly string[]): Promise<ReadonlyMap<string, Product>> {
  if (skus.length === 0) return new Map();
  const rows = await db.selectFrom('catalog.products as p').select(productJson('p').as('product')).where('sku', 'in', skus).where('deleted_at', 'is', null).execute();
  return new Map(rows.map(({ product }) => [product.sku, product]));
}

/** Locks the row until the transaction ends; throws not_found for an unknown or deleted sku. */
async function lockProduct(trx: CatalogTrx, sku: string): Promise<Product> {
  const row = await trx.selectFrom('catalog.products as p').select(productJson('p').as('product')).where('sku', '=', sku).where('deleted_at', 'is', null).forUpdate().executeTakeFirst();
  if (!row) throw notFound(`the product ${sku}`);
  return row.product;
}

/** Columns of a price. Throws invalid_request where the currency cannot express the amount. */
export function priceColumns(price: string | null, currency: string): { price: string | null; price_minor: number | null } {
  if (price === null) return { price: null, price_minor: null };
  const minor = toMinor(price, currency);
  if (minor === undefined)
    throw new AppError('invalid_request', `a price in ${currency} cannot have that many decimals`, { details: [{ in: 'body', pointer: '/price', detail: 'has more decimals than its currency allows' }] });
  return { price, price_minor: minor };
}

const unknownMerchant = (error: unknown): AppError =>
  new AppError('invalid_request', 'the merchant does not exist', { cause: error, details: [{ in: 'body', pointer: '/merchant_id', detail: 'must be the id of a merchant' }] });

/** Creates the product, or takes up a deleted one again (its row and version go on). Throws duplicate where it exists. */
export async function insertProduct(trx: CatalogTrx, product: NewProduct, currency: string): Promise<Product> {
  const values = { ...product, currency, ...priceColumns(product.price, currency), attributes: JSON.stringify(product.attributes) };
  const { sku: _sku, ...columns } = values;
  const row = await trx
    .insertInto('catalog.products')
    .values(values)
    .onConflict((conflict) => conflict.column('sku').doUpdateSet({ ...columns, deleted_at: null }).where(sql<boolean>`products.deleted_at is not null`))
    .returning(productJson('products').as('product'))
    .executeTakeFirst()
    .catch((error: unknown) => {
      throw isViolation(error, FOREIGN_KEY_VIOLATION) ? unknownMerchant(error) : error;
    });
  if (!row) throw new AppError('duplicate', `the sku ${product.sku} exists already`, { details: [{ in: 'body', pointer: '/sku', detail: 'exists already: change it by PATCH' }] });
  return row.product;
}

type Accepted = '*' | readonly number[];

/** Changes what the patch names. A patch that changes nothing draws no version. */
export async function updateProduct(trx: CatalogTrx, sku: string, patch: ProductPatch, accepted: Accepted): Promise<Product> {
  const current = await lockProduct(trx, sku);
  checkIfMatch(accepted, current);
  const { price, currency, attributes, ...rest } = patch;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const priced = price !== undefined || currency !== undefined;
  const nextCurrency = currency ?? current.currency;
  const nextPrice = price === undefined ? (current.price === null ? null : String(current.price)) : price;
  const set = {
    ...given,
    ...(attributes !== undefined && { attributes: JSON.stringify(attributes) }),
    ...(priced && { currency: nextCurrency, ...priceColumns(nextPrice, nextCurrency) }),
  };
  if (Object.keys(set).length === 0) return current;
  const row = await trx
    .updateTable('catalog.products as p')
    .set(set)
    .where('sku', '=', sku)
    .returning(productJson('p').as('product'))
    .executeTakeFirst()
    .catch((error: unknown) => {
      throw isViolation(error, FOREIGN_KEY_VIOLATION) ? unknownMerchant(error) : error;
    });
  return row?.product ?? current;
}

/** Soft: the row stays as a tombstone with a version of its own. Returns what an ETag is made of. */
export async function deleteProduct(trx: CatalogTrx, sku: string, accepted: Accepted): Promise<{ version: number; content_version: number }> {
  checkIfMatch(accepted, await lockProduct(trx, sku));
  return trx.updateTable('catalog.products').set({ deleted_at: sql<string>`now()` }).where('sku', '=', sku).returning(['version', 'content_version']).executeTakeFirstOrThrow();
}

/** With `expectedVersion` also a change of stock since then is refused. Throws precondition_failed. */
export async function setStock(trx: CatalogTrx, sku: string, { stock, expectedVersion }: { readonly stock: number | null; readonly expectedVersion?: number | undefined }, accepted: Accepted): Promise<Product> {
  const current = await lockProduct(trx, sku);
  checkIfMatch(accepted, current);
  if (expectedVersion !== undefined && expectedVersion !== current.version)
    throw new AppError('precondition_failed', `this has version ${current.version} now, not ${expectedVersion}`, { headers: { ETag: formatEtag(current) }, details: [{ in: 'body', pointer: '/expected_version', detail: 'is not the current version' }] });
  const row = await trx.updateTable('catalog.products as p').set({ stock }).where('sku', '=', sku).returning(productJson('p').as('product')).executeTakeFirst();
  return row?.product ?? current;
}

/** Adds to the stock under the row's lock. Throws conflict where it would fall below 0 or is unknown. */
export async function adjustStock(trx: CatalogTrx, sku: string, delta: number): Promise<Product> {
  const current = await lockProduct(trx, sku);
  if (current.stock === null) throw new AppError('conflict', `the stock of ${sku} is unknown: set it first`, { details: [{ in: 'body', pointer: '/delta', detail: 'cannot be applied to an unknown stock' }] });
  const stock = current.stock + delta;
  if (stock < 0 || stock > 2_147_483_647)
    throw new AppError('conflict', `the stock of ${sku} is ${current.stock}: it cannot be changed by ${delta}`, { details: [{ in: 'body', pointer: '/delta', detail: `must leave a stock of at least 0` }] });
  if (delta === 0) return current;
  const row = await trx.updateTable('catalog.products as p').set({ stock }).where('sku', '=', sku).returning(productJson('p').as('product')).executeTakeFirstOrThrow();
  return row.product;
}

export interface ListOptions {
  readonly limit: number;
  readonly updatedSince?: string;
  /** Keyset: the last row of the page before. */
  readonly after?: { readonly updatedAt: string; readonly sku: string };
}

/** Products that are not deleted, by (updated_at, sku). */
export async function listProducts(db: CatalogDb, { limit, updatedSince, after }: ListOptions): Promise<readonly Product[]> {
  let query = db.selectFrom('catalog.products as p').select(productJson('p').as('product')).where('deleted_at', 'is', null).orderBy('p.updated_at').orderBy('p.sku').limit(limit);
  if (updatedSince !== undefined) query = query.where(sql<boolean>`p.updated_at >= ${updatedSince}::timestamptz`);
  if (after) query = query.where(sql<boolean>`(p.updated_at, p.sku) > (${after.updatedAt}::timestamptz, ${after.sku})`);
  return (await query.execute()).map((row) => row.product);
}

/** Newest products of a category, a brand or both: the last resort of "similar" where a product has no vector. */
export async function findNewest(db: CatalogDb, filter: { readonly category?: string; readonly brand?: string }, limit: number): Promise<readonly Product[]> {
  let query = db.selectFrom('catalog.products as p').select(productJson('p').as('product')).where('deleted_at', 'is', null).where('status', '=', 'active');
  if (filter.category !== undefined) query = query.where('category', '=', filter.category);
  if (filter.brand !== undefined) query = query.where('brand', '=', filter.brand);
  const rows = await query.orderBy('updated_at', 'desc').limit(limit).execute();
  return rows.map((row) => row.product);
}

/** Removes tombstones older than 30 days (I3: each store does it by itself). Bounded: at most 10,000 a call. */
export async function purgeTombstones(db: CatalogDb): Promise<number> {
  const result = await sql`delete from catalog.products where sku in (select sku from catalog.products where deleted_at < now() - interval '30 days' limit 10000)`.execute(db);
  return Number(result.numAffectedRows ?? 0);
}
