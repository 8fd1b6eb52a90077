import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { loadDataset, qualified } from '@millrace/subscribers';
import type { Stores } from '@millrace/subscribers';
import { from as copyFrom } from 'pg-copy-streams';
import { alternate, median, msOf, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

/** What somebody does by hand: \copy into a new table of the same columns, then the key. Nothing is checked. */
async function copyByHand({ pool }: Stores, path: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('drop table if exists by_hand');
    await client.query(`create table by_hand (like ${qualified('arpu', 0)})`);
    await pipeline(createReadStream(path, { highWaterMark: 262_144 }), client.query(copyFrom('copy by_hand from stdin with (format csv, header)')));
    await client.query('alter table by_hand add primary key (isdn, data_month)');
  } finally {
    client.release();
  }
}

/** One dataset, checked, with its key, statistics and counts, in Postgres alone. */
export async function benchArpu(stores: Stores, path: string): Promise<BenchRow[]> {
  let generation = 900;
  const ours = (): Promise<number> => msOf(() => loadDataset(stores.pool, { dataset: 'arpu', source: { path }, mapping: {}, generation: (generation += 1), loadId: 0, limit: { share: 0 }, progress: { step: () => undefined }, signal: undefined }));
  const { a, b, ratio } = await alternate(5, ours, () => msOf(() => copyByHand(stores, path)));
  await stores.pool.query(`drop table by_hand; delete from ut360.dataset_generations where number > 900; ${Array.from({ length: generation - 900 }, (_none, at) => `drop table ${qualified('arpu', 901 + at)};`).join(' ')}`);
  return [row('ARPU from CSV, checked, key, statistics, beside \\copy + ADD PRIMARY KEY', median(a) / 1_000, { unit: 's', baseline: median(b) / 1_000, ratio, ratioAtMost: 1.3 })];
}
