import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createTestDatabase } from '@millrace/testing/servers';
import { migrations } from '../../../apps/catalog-api/src/migrations/index.ts';
import type { CatalogSchema } from '../../../apps/catalog-api/src/database.ts';
import { upsertBatch } from '../../../apps/catalog-api/src/import.repository.ts';
import { alternate, median, msOf, row } from './measure.ts';
import type { BenchRow } from './measure.ts';

const ROWS = 10_000;

const products = (round: number) =>
  Array.from({ length: ROWS }, (_, n) => ({
    sku: `u${n}`, name: `Product ${n} of round ${round}`, description: 'A description of about the usual length, so that rows are as wide as real ones are. '.repeat(3), category: `c${n % 20}`, brand: `b${n % 50}`,
    mpn: `M${n}`, ean: ['4006381333931'], price: '19.90', currency: 'USD', stock: n % 10, image_url: null, attributes: { colour: 'black', n }, status: 'active' as const, merchant_id: 1,
  }));

/** A 10,000-row upsert (all rows change) with the outbox's triggers, against the same without them. */
export async function benchUpsert(): Promise<BenchRow> {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, name: 'bench', max: 2, statementTimeoutMs: 0 });
  const db = createKysely<CatalogSchema>(pool);
  await migrateSchema(createKysely<unknown>(pool), migrations);
  let round = 0;
  const upsert = async (outbox: boolean): Promise<number> => {
    await pool.query(`alter table catalog.products ${outbox ? 'enable' : 'disable'} trigger outbox_updated`);
    round += 1;
    const batch = products(round);
    const ms = await msOf(() => db.transaction().execute((trx) => upsertBatch(trx, batch)));
    await pool.query('truncate catalog.outbox');
    await pool.query('vacuum catalog.products');
    return ms;
  };
  await upsert(true);
  const { a, b, ratio } = await alternate(7, () => upsert(true), () => upsert(false));
  await pool.end();
  await database.drop();
  return row('upsert of 10,000 rows with the outbox, against without', median(a), { unit: 'ms', baseline: median(b), ratio, ratioAtMost: 3 });
}
