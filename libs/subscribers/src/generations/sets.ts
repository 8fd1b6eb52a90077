import { isViolation, LOCK_NOT_AVAILABLE } from '@millrace/database';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { datasetNames } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { sweepTables } from '../erasure/sweep.ts';
import { LoadNotPossibleError } from '../errors.ts';
import { dropTable, replaceViews, schema } from '../load/tables.ts';
import { copyAliases } from './aliases.ts';
import { dropAnalytics } from './analytics.ts';
import { publishPointer, readPointer } from './pointer.ts';
import type { Pointer, Triple } from './pointer.ts';
import { removeGeneration } from './remove-keys.ts';
import type { Counts } from './write-generation.ts';

/** A set of generations that a pointer named, or may name. */
export interface GenerationSet extends Triple {
  readonly redis: number;
  readonly previous: number | null;
  readonly state: 'building' | 'ready' | 'dropped';
  readonly counts: Counts;
  readonly madeAt: string;
  readonly isLive: boolean;
}

interface SetRow extends Triple {
  readonly redis: number;
  readonly previous: number | null;
  readonly state: GenerationSet['state'];
  readonly stats: Counts;
  readonly made_at: string;
  readonly live: boolean;
}

/** Newest first; without those that are gone. */
export async function listSets(db: Pick<Pool | PoolClient, 'query'>): Promise<GenerationSet[]> {
  const { rows } = await db.query<SetRow>(`
    select s.redis, s.recommendations, s.profiles, s.arpu, s.previous, s.state, s.stats, to_char(s.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as made_at, s.redis = p.redis as live
    from ${schema}.generation_sets s cross join ${schema}.pointer p where s.state <> 'dropped' order by s.redis desc`);
  return rows.map(({ stats, made_at: madeAt, live, ...rest }) => ({ ...rest, counts: stats, madeAt, isLive: live }));
}

/** Registers a set that is about to be written. What a killed load wrote under this number can be found and removed then. */
export async function beginSet(client: PoolClient, triple: Triple, previous: number): Promise<number> {
  const { rows } = await client.query<{ redis: number }>(
    `insert into ${schema}.generation_sets (redis, recommendations, profiles, arpu, previous, state) select max(redis) + 1, $1, $2, $3, $4, 'building' from ${schema}.generation_sets returning redis`,
    [triple.recommendations, triple.profiles, triple.arpu, previous],
  );
  return rows[0]?.redis ?? 0;
}

export interface SwitchOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly set: Triple & { readonly redis: number };
  /** Of a set that was written just now. */
  readonly counts?: Counts;
  /** Told where Redis could not be told of the switch, which is done then; without it that is thrown. */
  readonly onWarning?: (warning: string) => void;
  /** In the transaction of the switch: where it throws, what was live stays. */
  readonly confirm?: ((client: PoolClient) => Promise<void>) | undefined;
}

/** Longest wait for readers of the views. Others who read them, and erasures, wait as long. */
const SWITCH_LOCK_MS = 10_000;

/**
 * Makes a set live: one UPDATE for Postgres, then its copy for Redis. Readers that have resolved the pointer before go on with what it named,
 * which stays for at least a minute. `client` must be the one that holds the lock of loads.
 */
export async function switchTo(client: PoolClient, { redis, keys, set, counts, confirm, onWarning }: SwitchOptions): Promise<Pointer> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${SWITCH_LOCK_MS}`);
    await confirm?.(client);
    if (counts !== undefined) await client.query(`update ${schema}.generation_sets set state = 'ready', stats = $2 where redis = $1`, [set.redis, JSON.stringify(counts)]);
    await client.query(`update ${schema}.generation_sets set retired_at = case when redis = $1 then null else now() end where redis = $1 or redis = (select redis from ${schema}.pointer)`, [set.redis]);
    await client.query(`update ${schema}.pointer set recommendations = $1, profiles = $2, arpu = $3, redis = $4, version = version + 1, switched_at = now()`, [set.recommendations, set.profiles, set.arpu, set.redis]);
    await replaceViews(client, set);
    await client.query('commit');
  } catch (error) {
    // On a connection that is gone nothing is left to roll back.
    await client.query('rollback').catch(() => undefined);
    throw isViolation(error, LOCK_NOT_AVAILABLE) ? new LoadNotPossibleError(`a session that has read ${schema}.recommendations, ${schema}.subscriber_360_profiles or ${schema}.subscriber_monthly_arpu in a transaction that is still open holds back the switch: end it (pg_stat_activity has it) and run this again. Nothing was changed`, { cause: error }) : error;
  }
  const pointer = await readPointer(client);
  await publishPointer(redis, keys, pointer).catch((error: unknown) => {
    if (onWarning === undefined) throw error;
    onWarning(`generation ${set.redis} is live in Postgres, but Redis could not be told: ut360-lookup does that as soon as Redis is back, "ut360 verify --repair" does it at once`);
  });
  return pointer;
}

/** The set that was live before this one and is still there; before the first load there was none. */
export async function findPrevious(db: Pick<Pool | PoolClient, 'query'>): Promise<GenerationSet | undefined> {
  const sets = await listSets(db);
  const live = sets.find(({ isLive }) => isLive);
  return sets.find((set) => set.redis > 0 && set.redis === live?.previous && set.state === 'ready');
}

/** Copies that an earlier load has made (`--alias-keys`) are of what was live: their readers know of no pointer. */
async function followAliases(redis: Redis, keys: Keys, generation: number): Promise<void> {
  if ((await redis.exists(keys.subscribers().stats)) === 1) await copyAliases(redis, keys, generation);
}

export interface RolledBack {
  readonly from: number;
  readonly pointer: Pointer;
  /** What could not be done any more once it was live. */
  readonly warnings: readonly string[];
}

/**
 * Goes back to the set before, in both stores, without those who were erased since; the keys without a number follow where there are some. Throws
 * LoadNotPossibleError where there is none, or where somebody was erased and `erasureSecret` is not the right one: nothing was switched then. Once it
 * was, it does not throw: whoever did it again would go back further.
 */
export async function rollBack(client: PoolClient, redis: Redis, keys: Keys, erasureSecret?: string): Promise<RolledBack> {
  const { redis: from } = await readPointer(client);
  const set = await findPrevious(client);
  if (set === undefined) throw new LoadNotPossibleError('there is no generation to go back to: the one before is not kept any more, or there never was one');
  await sweepTables(client, { redis, keys, erasureSecret }, set);
  const warnings: string[] = [];
  const pointer = await switchTo(client, { redis, keys, set, onWarning: (warning) => warnings.push(warning) });
  await followAliases(redis, keys, set.redis).catch(() => warnings.push('the keys without a number are not those of this generation: a load with --alias-keys writes them again'));
  return { from, pointer, warnings };
}

/** How long a request may go on with a generation after it is not live any more. */
const GRACE_SECONDS = 60;

/** Sets that may go: neither live, nor one of the `keep` that were live before it, nor just retired. */
export async function findSpareSets(client: Pick<Pool | PoolClient, 'query'>, keep: number): Promise<number[]> {
  const sets = await listSets(client);
  const kept = new Set<number>();
  let at = sets.find(({ isLive }) => isLive);
  for (let left = keep; at !== undefined && left >= 0; left -= 1) {
    kept.add(at.redis);
    const { previous } = at;
    at = sets.find(({ redis }) => redis === previous);
  }
  const { rows } = await client.query<{ redis: number }>(
    `select redis from ${schema}.generation_sets where redis > 0 and state <> 'dropped' and not redis = any($1::int[]) and (state = 'building' or coalesce(retired_at < now() - make_interval(secs => ${GRACE_SECONDS}), true))`, [[...kept]],
  );
  return rows.map(({ redis }) => redis);
}

/** Tables that no set names, and that are not the newest of their dataset: a load that was killed may still use those. */
async function dropUnusedTables(client: PoolClient): Promise<void> {
  for (const dataset of datasetNames) await dropUnused(client, dataset);
}

async function dropUnused(client: PoolClient, dataset: DatasetName): Promise<void> {
  const { rows } = await client.query<{ number: number }>(
    `select number from ${schema}.dataset_generations d where dataset = $1 and number > 0 and state = 'ready'
       and not exists (select 1 from ${schema}.generation_sets s where s.state <> 'dropped' and s.${dataset} = d.number)
       and number < (select max(number) from ${schema}.dataset_generations n where n.dataset = $1 and n.state = 'ready')`, [dataset],
  );
  for (const { number } of rows) {
    await dropTable(client, dataset, number);
  }
}

/**
 * Removes generations that nobody needs any more from both stores: all but the live one and the `keep` before it, what a killed load left,
 * and tables that no set names. Requests that began before a switch have a minute. `client` must hold the lock of loads.
 */
export async function pruneGenerations(client: PoolClient, { redis, keys, keep }: { readonly redis: Redis; readonly keys: Keys; readonly keep: number }): Promise<number[]> {
  const spare = await findSpareSets(client, keep);
  for (const generation of spare) {
    // Nobody goes back to it from now on; where the removal is cut off, the next one finds it again.
    await client.query(`update ${schema}.generation_sets set state = 'building' where redis = $1`, [generation]);
    await removeGeneration(redis, keys, generation);
    await client.query(`update ${schema}.generation_sets set state = 'dropped' where redis = $1`, [generation]);
  }
  await dropUnusedTables(client);
  await dropAnalytics(client);
  return spare;
}
