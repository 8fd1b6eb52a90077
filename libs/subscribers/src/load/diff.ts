import type { PoolClient } from 'pg';
import { copyColumns, datasets } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { qualified } from './tables.ts';

/** What a generation would change, in rows. */
export interface DatasetDiff {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly unchanged: number;
}

/** Compares two generations of a dataset by key. */
export async function diffGenerations(client: Pick<PoolClient, 'query'>, dataset: DatasetName, { live, next }: { readonly live: number; readonly next: number }): Promise<DatasetDiff> {
  const { key } = datasets[dataset];
  const rest = copyColumns(datasets[dataset]).filter((column) => !key.includes(column));
  const row = (alias: string): string => `(${rest.map((column) => `${alias}.${column}`).join(', ')})`;
  const { rows } = await client.query<DatasetDiff>(`
    select count(*) filter (where o.isdn is null)::int as added, count(*) filter (where n.isdn is null)::int as removed,
      count(*) filter (where o.isdn is not null and n.isdn is not null and ${row('o')} is distinct from ${row('n')})::int as changed,
      count(*) filter (where o.isdn is not null and n.isdn is not null and ${row('o')} is not distinct from ${row('n')})::int as unchanged
    from ${qualified(dataset, live)} o full join ${qualified(dataset, next)} n using (${key.join(', ')})`);
  return rows[0] ?? { added: 0, removed: 0, changed: 0, unchanged: 0 };
}
