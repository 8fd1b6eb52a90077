import type { Merchant } from '@millrace/contracts';
import { FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION, isViolation } from '@millrace/database';
import { AppError, notFound } from '@millrace/service';
import { sql } from 'kysely';
import type { CatalogDb, CatalogTrx } from './database.ts';

const isoTime = (column: 'created_at' | 'updated_at') => sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`.as(column);
const columns = ['id', 'name', isoTime('created_at'), isoTime('updated_at')] as const;

export const listMerchants = (db: CatalogDb): Promise<Merchant[]> => db.selectFrom('catalog.merchants').select(columns).orderBy('id').execute();

export async function getMerchant(db: CatalogDb, id: number): Promise<Merchant> {
  const merchant = await db.selectFrom('catalog.merchants').select(columns).where('id', '=', id).executeTakeFirst();
  if (!merchant) throw notFound(`the merchant ${id}`);
  return merchant;
}

/** Throws duplicate where the id is taken. A given id moves the sequence behind it, so that the next one is free: hence a transaction. */
export async function insertMerchant(trx: CatalogTrx, { id, name }: { readonly id?: number | undefined; readonly name: string }): Promise<Merchant> {
  const merchant = await trx
    .insertInto('catalog.merchants')
    .values(id === undefined ? { name } : { id, name })
    .returning(columns)
    .executeTakeFirstOrThrow()
    .catch((error: unknown) => {
      if (!isViolation(error, UNIQUE_VIOLATION)) throw error;
      throw new AppError('duplicate', `the merchant ${id ?? ''} exists already`, { cause: error, details: [{ in: 'body', pointer: '/id', detail: 'is taken' }] });
    });
  if (id !== undefined) await sql`select setval(pg_get_serial_sequence('catalog.merchants', 'id'), greatest((select max(id) from catalog.merchants), 1))`.execute(trx);
  return merchant;
}

export async function renameMerchant(db: CatalogDb, id: number, name: string): Promise<Merchant> {
  const merchant = await db.updateTable('catalog.merchants').set({ name, updated_at: sql<string>`now()` }).where('id', '=', id).returning(columns).executeTakeFirst();
  if (!merchant) throw notFound(`the merchant ${id}`);
  return merchant;
}

/** Throws conflict while products (tombstones too) belong to it. */
export async function deleteMerchant(db: CatalogDb, id: number): Promise<void> {
  const result = await db.deleteFrom('catalog.merchants').where('id', '=', id).executeTakeFirst().catch((error: unknown) => {
    throw isViolation(error, FOREIGN_KEY_VIOLATION) ? new AppError('conflict', `the merchant ${id} still has products`, { cause: error }) : error;
  });
  if (result.numDeletedRows === 0n) throw notFound(`the merchant ${id}`);
}
