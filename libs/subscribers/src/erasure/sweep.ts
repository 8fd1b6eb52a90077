import type { PoolClient } from 'pg';
import { datasetNames } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { qualified } from '../load/tables.ts';
import type { Triple } from '../generations/pointer.ts';
import { createErasedFilter } from './erased-filter.ts';
import type { IsErased } from './erased-filter.ts';
import { readErased } from './erased-list.ts';
import { vacuumTables } from './erase-from-tables.ts';
import { completeErasures, removeFromStores } from './erase-subscribers.ts';
import type { ErasureStores } from './erase-subscribers.ts';

const PAGE = 10_000;

async function findErased(client: PoolClient, dataset: DatasetName, number: number, isErased: IsErased): Promise<string[]> {
  const found: string[] = [];
  let after = '';
  for (;;) {
    const { rows } = await client.query<{ isdn: string }>(`select distinct isdn from ${qualified(dataset, number)} where isdn > $1 order by isdn limit ${PAGE}`, [after]);
    found.push(...rows.flatMap(({ isdn }) => (isErased(isdn) ? [isdn] : [])));
    const last = rows.at(-1);
    if (last === undefined) return found;
    after = last.isdn;
  }
}

/**
 * Tables of an earlier time, before they are used again: erasures that are open are finished, and every ISDN is compared with the list. Costs two
 * queries where nobody was ever erased. Returns the rows that went, by table. Throws ErasureSecretError without the right secret.
 */
export async function sweepTables(client: PoolClient, stores: ErasureStores, tables: Readonly<Partial<Triple>>): Promise<Readonly<Record<string, number>>> {
  const list = await readErased(client, stores.erasureSecret);
  if (list === undefined) return {};
  await completeErasures(client, stores);
  const isErased = createErasedFilter(list);
  const found = new Set<string>();
  for (const dataset of datasetNames) for (const isdn of tables[dataset] === undefined ? [] : await findErased(client, dataset, tables[dataset], isErased)) found.add(isdn);
  if (found.size === 0) return {};
  const rows = await removeFromStores(client, stores, [...found]);
  await vacuumTables(client);
  return rows;
}
