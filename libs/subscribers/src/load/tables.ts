import { isViolation, LOCK_NOT_AVAILABLE } from '@millrace/database';
import type { PoolClient } from 'pg';
import { columnDefinitions, datasetNames, datasets, tableOf } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';


/** Every statement is of our own names and numbers: there is nothing to quote. */
export const schema = 'ut360';

export const qualified = (dataset: DatasetName, generation: number): string => `${schema}.${tableOf(dataset, generation)}`;

export const createTable = (dataset: DatasetName, generation: number): string => `create table ${qualified(dataset, generation)} (${columnDefinitions(datasets[dataset])})`;
export const addKey = (dataset: DatasetName, generation: number): string => `alter table ${qualified(dataset, generation)} add primary key (${datasets[dataset].key.join(', ')})`;
export const addIndexes = (dataset: DatasetName, generation: number): readonly string[] => datasets[dataset].indexes.map((column) => `create index on ${qualified(dataset, generation)} (${column})`);

/** Generation 0 of every dataset: empty tables, for the migration. */
export const emptyGenerationStatements = (): readonly string[] => datasetNames.flatMap((name) => [createTable(name, 0), addKey(name, 0), ...addIndexes(name, 0)]);

/** Makes the names without a number lead to these generations. The caller's transaction decides when that is seen. */
export async function replaceViews(client: PoolClient, triple: Readonly<Record<DatasetName, number>>): Promise<void> {
  for (const name of datasetNames) await client.query(`create or replace view ${schema}.${datasets[name].table} as select * from ${qualified(name, triple[name])}`);
}

/** Longest wait for whoever reads a table in a transaction that is left open. */
const BUSY_MS = 2_000;

/** A table that somebody reads stays for the next time: a session that was forgotten must not hold back loads. */
async function dropUnlessRead(client: PoolClient, table: string): Promise<void> {
  await client.query(`set lock_timeout = ${BUSY_MS}`);
  try {
    await client.query(`drop table if exists ${table}`);
  } catch (error) {
    if (!isViolation(error, LOCK_NOT_AVAILABLE)) throw error;
  }
  await client.query('set lock_timeout = 0');
}

/** First nobody knows of it: cut off between the two, the table is found by `dropUnknownTables`; the other way round a load would take over what is not there. */
export async function dropTable(client: PoolClient, dataset: DatasetName, generation: number): Promise<void> {
  await client.query(`update ${schema}.dataset_generations set state = 'dropped' where dataset = $1 and number = $2`, [dataset, generation]);
  await dropUnlessRead(client, qualified(dataset, generation));
}

/** Drops tables of generations that nothing tells of: what a killed load, or a drop that was cut off, left behind. */
export async function dropUnknownTables(client: PoolClient): Promise<void> {
  const names = Object.fromEntries(datasetNames.map((name) => [datasets[name].table, name]));
  const { rows } = await client.query<{ table_name: string }>(`select table_name from information_schema.tables where table_schema = $1 and table_type = 'BASE TABLE'`, [schema]);
  for (const { table_name: table } of rows) {
    const [, base = '', number = ''] = /^(.+)_(\d+)$/.exec(table) ?? [];
    const dataset = names[base];
    if (dataset === undefined) continue;
    const known = await client.query(`select 1 from ${schema}.dataset_generations where dataset = $1 and number = $2 and state = 'ready'`, [dataset, Number(number)]);
    if (known.rowCount === 0) await dropUnlessRead(client, qualified(dataset, Number(number)));
  }
}
