import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** The newest of a brand, for similar products without vectors. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index products_brand on catalog.products (brand, updated_at desc) where deleted_at is null`.execute(db);
}
