import type { PoolClient } from 'pg';
import { escapeCopy } from '../cells.ts';
import { datasetNames, tableOf } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import type { Triple } from '../generations/pointer.ts';
import { readSubscribers } from '../generations/read-subscribers.ts';
import { countSubscriber } from '../generations/write-generation.ts';
import type { Counts } from '../generations/write-generation.ts';
import { schema } from '../load/tables.ts';
import { normaliseHeader } from '../row-encoder.ts';

/** Rows that went, by table without its number. */
export type ErasedRows = Record<string, number>;

/** Every table with a column `isdn`, whoever made it: generations that are live, kept or left by a killed load, and bad rows. */
async function tablesWithIsdns(client: PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.table_name as name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = $1 and c.column_name = 'isdn' and t.table_type = 'BASE TABLE' order by 1`, [schema],
  );
  return rows.map(({ name }) => name);
}

interface SetRow extends Triple {
  readonly redis: number;
  readonly stats: Counts;
  readonly last_month: string | null;
}

/** What was counted of these subscribers when a set was written, taken off again: the sizes of its indexes are compared with it. */
async function correctCounts(client: PoolClient, isdns: readonly string[]): Promise<void> {
  const { rows: sets } = await client.query<SetRow>(
    `select s.redis, s.recommendations, s.profiles, s.arpu, s.stats, to_char(a.last_month, 'YYYY-MM') as last_month
     from ${schema}.generation_sets s join ${schema}.dataset_generations a on a.dataset = 'arpu' and a.number = s.arpu
     where s.state <> 'dropped' and s.redis > 0 and s.stats <> '{}'`,
  );
  for (const { redis, stats, ...triple } of sets) {
    const gone: Counts = {};
    for (const subscriber of await readSubscribers(client, triple, isdns)) countSubscriber(gone, subscriber);
    if (Object.keys(gone).length === 0) continue;
    const counts = Object.fromEntries(Object.entries(stats).map(([name, count]) => [name, count - (gone[name] ?? 0)]));
    await client.query(`update ${schema}.generation_sets set stats = $2 where redis = $1`, [redis, JSON.stringify(counts)]);
  }
}

const numbered = new Map<string, DatasetName>(datasetNames.map((name) => [tableOf(name, 0).slice(0, -1), name]));

async function deleteRows(client: PoolClient, isdns: readonly string[]): Promise<ErasedRows> {
  const erased: ErasedRows = {};
  for (const table of await tablesWithIsdns(client)) {
    // Bad rows have it as COPY wrote it.
    const { rowCount } = await client.query(`delete from ${schema}."${table}" where isdn = any($1::text[])`, [table === 'bad_rows' ? [...isdns, ...isdns.map(escapeCopy)] : isdns]);
    if (rowCount === null || rowCount === 0) continue;
    const [, base = table, number = ''] = /^(.+_)(\d+)$/.exec(table) ?? [];
    const dataset = numbered.get(base);
    if (dataset !== undefined) await client.query(`update ${schema}.dataset_generations set rows = rows - $3 where dataset = $1 and number = $2`, [dataset, Number(number), rowCount]);
    const name = dataset === undefined ? table : base.slice(0, -1);
    erased[name] = (erased[name] ?? 0) + rowCount;
  }
  return erased;
}

/** A report may name a header, and a file without headers has a subscriber there. */
function needlesOf(isdn: string): string[] {
  const forms = [isdn, normaliseHeader(isdn), JSON.stringify(isdn).slice(1, -1)];
  // Whatever stands before the nine digits.
  return (/^84\d{9}$/.test(isdn) ? [isdn.slice(2)] : forms).filter((form) => form.length >= 6).map((form) => form.toLowerCase());
}

/** Reports that hold one of them in any form are emptied. */
const emptyReports = async (client: PoolClient, isdns: readonly string[]): Promise<number> =>
  (await client.query(`update ${schema}.loads set report = '{"erased": true}' where exists (select 1 from unnest($1::text[]) as needle where strpos(lower(report::text), needle) > 0)`, [isdns.flatMap(needlesOf)])).rowCount ?? 0;

/**
 * Removes subscribers from every table, corrects the counts, and moves the pointer's version, in one transaction: from its commit on nothing that
 * was read before can be filled back into Redis. Safe to repeat. `client` must hold the lock of loads.
 */
export async function eraseFromTables(client: PoolClient, isdns: readonly string[]): Promise<ErasedRows> {
  await client.query('begin');
  try {
    await correctCounts(client, isdns);
    const erased = await deleteRows(client, isdns);
    const reports = await emptyReports(client, isdns);
    await client.query(`update ${schema}.pointer set version = version + 1`);
    await client.query('commit');
    return reports === 0 ? erased : { ...erased, reports };
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** Rows that were deleted go from the files, and from what the planner keeps of the column's values. */
export async function vacuumTables(client: PoolClient): Promise<void> {
  for (const table of await tablesWithIsdns(client)) await client.query(`vacuum (analyze, index_cleanup on) ${schema}."${table}"`);
}
