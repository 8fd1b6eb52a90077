import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { datasetNames } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { LoadNotPossibleError, LoadRefusedError } from '../errors.ts';
import { hashFile } from '../files/read-file.ts';
import type { SourceFile } from '../files/reading.ts';
import { copyAliases } from '../generations/aliases.ts';
import { publishGeneration } from '../generations/publish.ts';
import { readPointer } from '../generations/pointer.ts';
import type { Pointer, Triple } from '../generations/pointer.ts';
import { pruneGenerations } from '../generations/sets.ts';
import type { Counts } from '../generations/write-generation.ts';
import type { FileMappings } from '../mapping.ts';
import type { BadRowLimit } from './bad-rows.ts';
import { diffGenerations } from './diff.ts';
import type { DatasetDiff } from './diff.ts';
import { loadDataset, secondsSince } from './load-dataset.ts';
import type { DatasetReport } from './load-dataset.ts';
import { underLoadLock } from './load-lock.ts';
import { noProgress } from './progress.ts';
import type { LoadProgress } from './progress.ts';
import { dropUnknownTables, qualified, schema } from './tables.ts';

export interface Stores {
  /** Direct, as the role of the service; no statement timeout of its own is needed. At least three connections. */
  readonly pool: Pool;
  /** A `background` connection to the Redis of subscribers. */
  readonly redis: Redis;
  readonly keys: Keys;
}

export interface LoadOptions {
  /** Datasets that are not named keep their live generation. */
  readonly files: Readonly<Partial<Record<DatasetName, SourceFile>>>;
  readonly mappings?: FileMappings;
  readonly limit: BadRowLimit;
  /** Generations before the live one that are kept for a rollback. */
  readonly keep: number;
  /** Reads and checks everything, tells what would change, changes nothing. */
  readonly dryRun?: boolean;
  /** Also writes the keys of readers that know of no generations. */
  readonly aliasKeys?: boolean;
  readonly progress?: LoadProgress;
  readonly signal?: AbortSignal;
  /** In the transaction of the switch: where it throws, what was live stays. For a fence. */
  readonly confirm?: (client: PoolClient) => Promise<void>;
  /** Seen in pg_stat_activity; default: ut360-load. */
  readonly name?: string;
}

export interface LoadReport {
  readonly load: number;
  readonly state: 'done' | 'refused' | 'failed';
  readonly dry_run: boolean;
  readonly datasets: readonly DatasetReport[];
  /** Of a dry run only. */
  readonly changes: Readonly<Partial<Record<DatasetName, DatasetDiff>>>;
  /** Rows by service, risk and cluster, and rows without a counterpart in another dataset. */
  readonly counts: Counts;
  readonly pointer: Pointer;
  readonly redis_bytes_per_subscriber: number;
  readonly removed_generations: readonly number[];
  readonly error: string | null;
  readonly seconds: number;
}

type Wanted = readonly (readonly [DatasetName, SourceFile])[];

async function checkFiles(wanted: Wanted): Promise<void> {
  if (wanted.length === 0) throw new LoadRefusedError('name at least one file: --recommendations, --profiles or --arpu');
  for (const [name, { path }] of wanted) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() !== true) throw new LoadRefusedError(`${path} (${name}) is not a file that can be read`);
  }
}

/** The table of an earlier load of the very same file that was killed before it went live. */
async function findFinished(client: PoolClient, dataset: DatasetName, source: SourceFile, mapping: string): Promise<DatasetReport | undefined> {
  const { size } = await stat(source.path);
  const { rows } = await client.query<{ number: number; rows: number; bad_rows: number; sha256: string }>(
    `select number, rows, bad_rows, file_sha256 as sha256 from ${schema}.dataset_generations d
     where dataset = $1 and state = 'ready' and file_bytes = $2 and mapping = $3 and not exists (select 1 from ${schema}.generation_sets s where s.${dataset} = d.number and s.state = 'ready') order by number desc limit 1`,
    [dataset, size, mapping],
  );
  const [found] = rows;
  if (found === undefined || (await hashFile(source.path)) !== found.sha256) return undefined;
  return { dataset, generation: found.number, file: basename(source.path), bytes: size, sha256: found.sha256, rows: found.rows, bad_rows: found.bad_rows, ignored_columns: [], resumed: true, seconds: 0 };
}

const nextNumber = async (client: PoolClient, dataset: DatasetName): Promise<number> =>
  (await client.query<{ next: number }>(`select max(number) + 1 as next from ${schema}.dataset_generations where dataset = $1`, [dataset])).rows[0]?.next ?? 1;

interface Run extends Stores {
  readonly client: PoolClient;
  readonly options: LoadOptions;
  readonly loadId: number;
}

async function loadAll({ client, pool, options, loadId }: Run, wanted: Wanted, done: DatasetReport[]): Promise<void> {
  for (const [dataset, source] of wanted) {
    const mapping = options.mappings?.[dataset] ?? {};
    const finished = options.dryRun === true ? undefined : await findFinished(client, dataset, source, JSON.stringify(mapping));
    done.push(finished ?? (await loadDataset(pool, {
      dataset, source, mapping, loadId, generation: await nextNumber(client, dataset), limit: options.limit, progress: options.progress ?? noProgress, signal: options.signal,
    })));
  }
}

/** A dry run's tables go again. */
async function compareAndDrop(client: PoolClient, live: Triple, loaded: readonly DatasetReport[]): Promise<LoadReport['changes']> {
  const changes: Partial<Record<DatasetName, DatasetDiff>> = {};
  for (const { dataset, generation } of loaded) changes[dataset] = await diffGenerations(client, dataset, { live: live[dataset], next: generation });
  await discard(client, loaded);
  return changes;
}

async function discard(client: PoolClient, loaded: readonly DatasetReport[]): Promise<void> {
  for (const { dataset, generation } of loaded) {
    await client.query(`drop table if exists ${qualified(dataset, generation)}`);
    await client.query(`update ${schema}.dataset_generations set state = 'dropped' where dataset = $1 and number = $2`, [dataset, generation]);
  }
}

async function runLoad(run: Run, wanted: Wanted): Promise<LoadReport> {
  const { client, redis, keys, options } = run;
  const startMs = performance.now();
  const live = await readPointer(client);
  const loaded: DatasetReport[] = [];
  const common = { load: run.loadId, dry_run: options.dryRun === true, datasets: loaded, error: null, state: 'done' as const };
  try {
    await loadAll(run, wanted, loaded);
  } catch (error) {
    // Of several files one was refused: those before it are loaded again next time, they belong together.
    if (error instanceof LoadRefusedError) await discard(client, loaded.filter(({ resumed }) => !resumed));
    throw error;
  }
  if (options.dryRun === true) {
    const changes = await compareAndDrop(client, live, loaded);
    return { ...common, changes, counts: {}, pointer: live, redis_bytes_per_subscriber: 0, removed_generations: [], seconds: secondsSince(startMs) };
  }
  const triple = { recommendations: live.recommendations, profiles: live.profiles, arpu: live.arpu, ...Object.fromEntries(loaded.map(({ dataset, generation }) => [dataset, generation])) };
  const published = await publishGeneration({ pool: run.pool, client, redis, keys, triple, previous: live.redis, keep: options.keep, progress: options.progress ?? noProgress, signal: options.signal, confirm: options.confirm });
  if (options.aliasKeys === true) await copyAliases(redis, keys, published.pointer.redis);
  const removed = await pruneGenerations(client, { redis, keys, keep: options.keep });
  return { ...common, changes: {}, counts: published.counts, pointer: published.pointer, redis_bytes_per_subscriber: Math.round(published.bytesPerSubscriber), removed_generations: removed, seconds: secondsSince(startMs) };
}

async function beginLoad(client: PoolClient): Promise<number> {
  await client.query(`update ${schema}.loads set state = 'abandoned', ended_at = now() where state = 'running'`);
  const { rows } = await client.query<{ id: number }>(`insert into ${schema}.loads (state) values ('running') returning id`);
  return rows[0]?.id ?? 0;
}

const endLoad = (pool: Pool, loadId: number, state: string, report: object): Promise<unknown> =>
  pool.query(`update ${schema}.loads set state = $2, report = $3, ended_at = now() where id = $1`, [loadId, state, JSON.stringify(report)]);

/**
 * Loads files into a new generation of both stores and makes it live, or changes nothing that a reader sees. One at a time on all machines.
 * Killed anywhere, what was live stays live, and the next run takes over whole tables of the same files or starts clean. Throws
 * LoadRefusedError (bad input) and LoadNotPossibleError (another load, no room).
 */
export async function loadFiles(stores: Stores, options: LoadOptions): Promise<LoadReport> {
  const wanted = datasetNames.flatMap((name) => (options.files[name] === undefined ? [] : [[name, options.files[name]] as const]));
  await checkFiles(wanted);
  return await underLoadLock(stores.pool, async (client) => {
    const loadId = await beginLoad(client);
    await dropUnknownTables(client);
    await pruneGenerations(client, { ...stores, keep: options.keep });
    try {
      const report = await runLoad({ ...stores, client, options, loadId }, wanted);
      await endLoad(stores.pool, loadId, 'done', report);
      return report;
    } catch (error) {
      const state = error instanceof LoadRefusedError || error instanceof LoadNotPossibleError ? 'refused' : 'failed';
      await endLoad(stores.pool, loadId, state, { error: error instanceof Error ? error.message : 'unknown' });
      throw error;
    }
  }, options.name === undefined ? {} : { name: options.name });
}
