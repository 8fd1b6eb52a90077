import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { completeErasures } from '../erasure/erase-subscribers.ts';
import { LoadNotPossibleError, toNotPossible } from '../errors.ts';
import type { LoadProgress } from '../load/progress.ts';
import { schema } from '../load/tables.ts';
import { storeAnalytics } from './analytics.ts';
import type { Pointer, Triple } from './pointer.ts';
import { KEPT_MONTHS } from './months.ts';
import { removeGeneration } from './remove-keys.ts';
import { beginSet, pruneGenerations, switchTo } from './sets.ts';
import { checkGeneration, writeGeneration } from './write-generation.ts';
import type { Counts, WrittenGeneration } from './write-generation.ts';

export interface PublishOptions {
  /** For reading. */
  readonly pool: Pool;
  /** Holds the lock of loads. */
  readonly client: PoolClient;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly triple: Triple;
  readonly erasureSecret: string | undefined;
  /** The set that it follows, for a rollback. */
  readonly previous: number;
  readonly keep: number;
  readonly progress: LoadProgress;
  readonly signal: AbortSignal | undefined;
  /** What did not succeed although the generation is live. */
  readonly onWarning?: (warning: string) => void;
  /** See LoadOptions. */
  readonly confirm?: ((client: PoolClient) => Promise<void>) | undefined;
}

export interface Published {
  readonly pointer: Pointer;
  readonly counts: Counts;
  readonly bytesPerSubscriber: number;
}

interface Files { readonly expected: number; readonly facts: Record<string, string>; readonly arpuRows: number; readonly lastMonth: string | null }

/** What the tables of a triple were made from. */
async function filesOf(client: PoolClient, triple: Triple): Promise<Files> {
  const { rows } = await client.query<{ dataset: string; rows: number; sha256: string | null; last_month: string | null }>(
    `select dataset, rows, file_sha256 as sha256, to_char(last_month, 'YYYY-MM') as last_month from ${schema}.dataset_generations where (dataset, number) in (('recommendations', $1), ('profiles', $2), ('arpu', $3))`, [triple.recommendations, triple.profiles, triple.arpu],
  );
  const rowsOf = (name: string): number => rows.find(({ dataset }) => dataset === name)?.rows ?? 0;
  return {
    expected: Math.max(rowsOf('recommendations'), rowsOf('profiles'), Math.ceil(rowsOf('arpu') / KEPT_MONTHS)), arpuRows: rowsOf('arpu'), lastMonth: rows.find(({ dataset }) => dataset === 'arpu')?.last_month ?? null,
    facts: { loaded_at: new Date().toISOString(), ...Object.fromEntries(rows.flatMap(({ dataset, sha256 }) => (sha256 === null ? [] : [[`file:${dataset}`, sha256]]))) },
  };
}

async function writeChecked({ pool, client, redis, keys, triple, progress, signal }: PublishOptions, generation: number): Promise<WrittenGeneration> {
  const { expected, facts, arpuRows, lastMonth } = await filesOf(client, triple);
  const written = await writeGeneration(pool, {
    redis, keys, generation, triple, lastMonth, expected, signal, facts: { ...facts, arpu: String(arpuRows) },
    onProgress: (done) => progress.step('redis', { done, total: Math.max(expected, done) }),
  });
  progress.step('check', { done: 0, total: 1 });
  const problems = await checkGeneration(redis, keys, generation, written);
  if (problems.length > 0) throw new Error(`the new generation of Redis is not what was written: ${problems.slice(0, 5).join('; ')}`);
  progress.step('check', { done: 1, total: 1 });
  return written;
}

/** A server that is full, in spite of the estimate, says so itself. */
const toRefusal = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'message' in error && String(error.message).startsWith('OOM ') ? new LoadNotPossibleError('Redis (UT360_REDIS_URL) has no room for one more generation: it was full before all was written. Raise maxmemory to have room for two generations. Nothing was changed', { cause: error }) : error;

/** Where a store is away the set stays `building`, and the next load or check removes it: what is told is why it came to that. */
async function removeUnfinished({ client, redis, keys }: PublishOptions, redisGeneration: number): Promise<void> {
  try {
    await removeGeneration(redis, keys, redisGeneration);
    await client.query(`update ${schema}.generation_sets set state = 'dropped' where redis = $1`, [redisGeneration]);
  } catch (error) {
    if (toNotPossible(error) === error) throw error;
  }
}

/** Writes a set; where Redis has no room, once more without the generation that this one makes superfluous anyway. */
async function writeWithRoom(options: PublishOptions): Promise<WrittenGeneration & { readonly redisGeneration: number }> {
  const attempt = async (): Promise<WrittenGeneration & { readonly redisGeneration: number }> => {
    const redisGeneration = await beginSet(options.client, options.triple, options.previous);
    try {
      return { ...(await writeChecked(options, redisGeneration)), redisGeneration };
    } catch (error) {
      await removeUnfinished(options, redisGeneration);
      throw toRefusal(error);
    }
  };
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof LoadNotPossibleError) || options.keep === 0) throw error;
    const removed = await pruneGenerations(options.client, { ...options, keep: options.keep - 1 });
    if (removed.length === 0) throw error;
    return await attempt();
  }
}

/** Who was erased while the generation was written goes from it before anybody reads it. Returns the counts without them. */
async function leaveOutErased(options: PublishOptions, generation: number, counts: Counts): Promise<Counts> {
  const { client } = options;
  // From here on what is corrected are these.
  await client.query(`update ${schema}.generation_sets set stats = $2 where redis = $1`, [generation, JSON.stringify(counts)]);
  if ((await completeErasures(client, options)) === 0) return counts;
  const { rows } = await client.query<{ stats: Counts }>(`select stats from ${schema}.generation_sets where redis = $1`, [generation]);
  return rows[0]?.stats ?? counts;
}

/** Writes, checks and switches to a new set of Redis keys from a triple of tables; removes what it wrote where that fails. */
export async function publishGeneration(options: PublishOptions): Promise<Published> {
  const { client, redis, keys, triple, progress, signal, confirm } = options;
  const { counts: written, bytesPerSubscriber, redisGeneration } = await writeWithRoom(options);
  signal?.throwIfAborted();
  const counts = await leaveOutErased(options, redisGeneration, written);
  await storeAnalytics(client, { ...triple, redis: redisGeneration });
  signal?.throwIfAborted();
  progress.step('switch', { done: 0, total: 1 });
  const pointer = await switchTo(client, { redis, keys, set: { ...triple, redis: redisGeneration }, counts, confirm, ...(options.onWarning !== undefined && { onWarning: options.onWarning }) });
  progress.step('switch', { done: 1, total: 1 });
  return { pointer, counts, bytesPerSubscriber };
}
