import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { datasetNames, datasets } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { readErased } from '../erasure/erased-list.ts';
import { sweepTables } from '../erasure/sweep.ts';
import { LoadNotPossibleError, LoadRefusedError, toNotPossible } from '../errors.ts';
import { hashFile } from '../files/read-file.ts';
import type { SourceFile } from '../files/reading.ts';
import { copyAliases } from '../generations/aliases.ts';
import { publishGeneration } from '../generations/publish.ts';
import { readPointer } from '../generations/pointer.ts';
import type { Pointer, Triple } from '../generations/pointer.ts';
import { pruneGenerations } from '../generations/sets.ts';
import type { Counts } from '../generations/write-generation.ts';
import type { FileMappings } from '../mapping.ts';
import { isBeyond } from './bad-rows.ts';
import type { BadRowLimit } from './bad-rows.ts';
import { diffGenerations } from './diff.ts';
import type { DatasetDiff } from './diff.ts';
import { loadDataset, readingOf, secondsSince } from './load-dataset.ts';
import type { DatasetReport } from './load-dataset.ts';
import { underLoadLock } from './load-lock.ts';
import { noProgress } from './progress.ts';
import type { LoadProgress } from './progress.ts';
import { dropTable, dropUnknownTables, schema } from './tables.ts';

export interface Stores {
  /** Direct, as the role of the service; no statement timeout of its own is needed. At least three connections. */
  readonly pool: Pool;
  /** A `background` connection to the Redis of subscribers. */
  readonly redis: Redis;
  readonly keys: Keys;
  /** UT360_ERASURE_SECRET; needed as soon as somebody was erased: without it nothing is loaded then. */
  readonly erasureSecret?: string | undefined;
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
  /** Told of a load that has begun and does not become live, before that is thrown. */
  readonly onFailed?: (report: FailedLoad) => void;
  /** In the transaction of the switch: where it throws, what was live stays. For a fence. */
  readonly confirm?: (client: PoolClient) => Promise<void>;
  /** Seen in pg_stat_activity; default: ut360-load. */
  readonly name?: string;
}

/** What is known of a load that did not become live. */
export interface FailedLoad {
  readonly load: number;
  readonly state: 'refused' | 'failed';
  readonly dry_run: boolean;
  readonly error: string;
  /** Files that were read before. Bad rows, also those of the file that was refused, are in ut360.bad_rows under this load. */
  readonly datasets: readonly DatasetReport[];
  /** Bad rows by dataset, as far as they are kept. */
  readonly bad_rows: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export interface LoadReport {
  readonly load: number;
  readonly state: 'done';
  readonly dry_run: boolean;
  readonly datasets: readonly DatasetReport[];
  /** Of a dry run only. */
  readonly changes: Readonly<Partial<Record<DatasetName, DatasetDiff>>>;
  /** Rows by service, risk and cluster, and rows without a counterpart in another dataset. */
  readonly counts: Counts;
  readonly pointer: Pointer;
  readonly redis_bytes_per_subscriber: number;
  readonly removed_generations: readonly number[];
  /** What could not be done any more once it was live. */
  readonly warnings: readonly string[];
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
async function findFinished(client: PoolClient, dataset: DatasetName, source: SourceFile, { mapping, limit }: { readonly mapping: string; readonly limit: BadRowLimit }): Promise<DatasetReport | undefined> {
  const { size } = await stat(source.path);
  const { rows } = await client.query<{ number: number; rows: number; bad_rows: number; sha256: string }>(
    `select number, rows, bad_rows, file_sha256 as sha256 from ${schema}.dataset_generations d
     where dataset = $1 and state = 'ready' and file_bytes = $2 and mapping = $3 and not exists (select 1 from ${schema}.generation_sets s where s.${dataset} = d.number and s.state = 'ready') order by number desc limit 1`,
    [dataset, size, mapping],
  );
  const [found] = rows;
  if (found === undefined || isBeyond(limit, found.bad_rows, found.rows + found.bad_rows) || (await hashFile(source.path)) !== found.sha256) return undefined;
  return { dataset, generation: found.number, file: basename(source.path), bytes: size, sha256: found.sha256, rows: found.rows, bad_rows: found.bad_rows, erased_rows: 0, ignored_columns: [], resumed: true, seconds: 0 };
}

const nextNumber = async (client: PoolClient, dataset: DatasetName): Promise<number> =>
  (await client.query<{ next: number }>(`select max(number) + 1 as next from ${schema}.dataset_generations where dataset = $1`, [dataset])).rows[0]?.next ?? 1;

interface Run extends Stores {
  readonly client: PoolClient;
  readonly options: LoadOptions;
  readonly loadId: number;
  /** Grows with each file that is in its table. */
  readonly loaded: DatasetReport[];
}

/** A table that an earlier load has left, without those who were erased since. */
async function takeOver(client: PoolClient, stores: Stores, found: DatasetReport): Promise<DatasetReport> {
  const erased = (await sweepTables(client, stores, { [found.dataset]: found.generation }))[datasets[found.dataset].table] ?? 0;
  const { rows } = await client.query<{ rows: number }>(`select rows::int as rows from ${schema}.dataset_generations where dataset = $1 and number = $2`, [found.dataset, found.generation]);
  return { ...found, rows: rows[0]?.rows ?? found.rows, erased_rows: erased };
}

async function loadAll({ client, options, loadId, ...stores }: Run, wanted: Wanted, done: DatasetReport[]): Promise<void> {
  const erased = await readErased(client, stores.erasureSecret);
  for (const [dataset, source] of wanted) {
    const mapping = options.mappings?.[dataset] ?? {};
    const finished = options.dryRun === true ? undefined : await findFinished(client, dataset, source, { mapping: readingOf(source, mapping), limit: options.limit });
    done.push(finished !== undefined ? await takeOver(client, stores, finished) : await loadDataset(stores.pool, {
      dataset, erased, source, mapping, loadId, generation: await nextNumber(client, dataset), limit: options.limit, progress: options.progress ?? noProgress, signal: options.signal, name: options.name,
    }));
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
  for (const { dataset, generation } of loaded) await dropTable(client, dataset, generation);
}

async function runLoad(run: Run, wanted: Wanted): Promise<LoadReport> {
  const { client, redis, keys, options } = run;
  const startMs = performance.now();
  const live = await readPointer(client);
  const { loaded } = run;
  const warnings: string[] = [];
  const common = { load: run.loadId, dry_run: options.dryRun === true, datasets: loaded, error: null, state: 'done' as const, warnings };
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
  const published = await publishGeneration({ pool: run.pool, erasureSecret: run.erasureSecret, client, redis, keys, triple, previous: live.redis, keep: options.keep, progress: options.progress ?? noProgress, signal: options.signal, confirm: options.confirm, onWarning: (warning) => warnings.push(warning) });
  // It is live: what fails from here on is told, and done by the next load or by ut360-lookup.
  const afterwards = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      warnings.push(`${what}: ${error instanceof Error ? error.message.slice(0, 200) : 'unknown error'}`);
      return undefined;
    }
  };
  if (options.aliasKeys === true) await afterwards('the keys without a number are not those of this generation', () => copyAliases(redis, keys, published.pointer.redis));
  const removed = (await afterwards('older generations could not be removed', () => pruneGenerations(client, { redis, keys, keep: options.keep }))) ?? [];
  return { ...common, changes: {}, counts: published.counts, pointer: published.pointer, redis_bytes_per_subscriber: Math.round(published.bytesPerSubscriber), removed_generations: removed, seconds: secondsSince(startMs) };
}

async function beginLoad(client: PoolClient): Promise<number> {
  await client.query(`update ${schema}.loads set state = 'abandoned', ended_at = now() where state = 'running'`);
  const { rows } = await client.query<{ id: number }>(`insert into ${schema}.loads (state) values ('running') returning id`);
  return rows[0]?.id ?? 0;
}

const endLoad = (pool: Pool, loadId: number, state: string, report: object): Promise<unknown> =>
  pool.query(`update ${schema}.loads set state = $2, report = $3, ended_at = now() where id = $1`, [loadId, state, JSON.stringify(report)]);

interface Failure { readonly error: unknown; readonly loadId: number; readonly loaded: readonly DatasetReport[]; readonly isDry: boolean; readonly seconds: number }

async function describeFailure(pool: Pool, { error, loadId, loaded, isDry, seconds }: Failure): Promise<FailedLoad> {
  const state = error instanceof LoadRefusedError || error instanceof LoadNotPossibleError ? 'refused' : 'failed';
  const bad = await pool.query<{ dataset: string; count: number }>(`select dataset, count(*)::int as count from ${schema}.bad_rows where load_id = $1 group by dataset`, [loadId]).catch(() => undefined);
  return { load: loadId, state, dry_run: isDry, error: error instanceof Error ? error.message : 'unknown', datasets: loaded, bad_rows: Object.fromEntries((bad?.rows ?? []).map(({ dataset, count }) => [dataset, count])), seconds };
}

/**
 * Loads files into a new generation of both stores and makes it live, or changes nothing that a reader sees. One at a time on all machines.
 * Killed anywhere, what was live stays live, and the next run takes over whole tables of the same files or starts clean. Throws
 * LoadRefusedError (bad input) and LoadNotPossibleError (another load, no room).
 */
export async function loadFiles(stores: Stores, options: LoadOptions): Promise<LoadReport> {
  const wanted = datasetNames.flatMap((name) => (options.files[name] === undefined ? [] : [[name, options.files[name]] as const]));
  await checkFiles(wanted);
  const startMs = performance.now();
  return await underLoadLock(stores.pool, async (client) => {
    const loadId = await beginLoad(client);
    const loaded: DatasetReport[] = [];
    await dropUnknownTables(client);
    await pruneGenerations(client, { ...stores, keep: options.keep });
    try {
      const report = await runLoad({ ...stores, client, options, loadId, loaded }, wanted);
      await endLoad(stores.pool, loadId, 'done', report);
      return report;
    } catch (cause) {
      const error = toNotPossible(cause);
      const report = await describeFailure(stores.pool, { error, loadId, loaded, isDry: options.dryRun === true, seconds: secondsSince(startMs) });
      // Where Postgres is away the next load calls this one abandoned.
      await endLoad(stores.pool, loadId, report.state, report).catch(() => undefined);
      options.onFailed?.(report);
      throw error;
    }
  }, options.name === undefined ? {} : { name: options.name });
}
