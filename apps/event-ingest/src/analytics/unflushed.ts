import { asFields, asList, asText } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { toDelta } from './deltas.ts';
import type { Delta } from './deltas.ts';
import type { Sources } from './sources.ts';

/** Counts that Postgres may not have: it knows by their id. */
export interface CountSet {
  readonly id: string;
  readonly deltas: readonly Delta[];
}

const PAGE = 1_000;
const TRIES = 5;

/** A whole set, in pages so that Redis is never held up; undefined where there is none, or another one took its place while it was read. */
export async function readCountSet(redis: Redis, key: string): Promise<CountSet | undefined> {
  const id = await redis.hget(key, 'id');
  if (id === null) return undefined;
  // HSCAN may return a field twice, and leaves none out that is there all the time.
  const deltas = new Map<string, Delta>();
  let cursor = '0';
  do {
    const [next, page] = asList(await redis.call('HSCAN', key, cursor, 'COUNT', PAGE));
    for (const [field, value] of asFields(page)) {
      const delta = toDelta(field, Number(value));
      if (delta) deltas.set(field, delta);
    }
    cursor = asText(next);
  } while (cursor !== '0');
  return (await redis.hget(key, 'id')) === id ? { id, deltas: [...deltas.values()] } : undefined;
}

/** All that is counted in Redis now, a set that is being rolled up included. Rejects where Redis does not answer. */
export async function readUnflushed(redis: Redis, sources: Pick<Sources, 'list'>): Promise<readonly CountSet[]> {
  const read = async (pending: string, sealed: string): Promise<readonly CountSet[]> => {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      // Sealing moves the one to the other: read in the order of their way, a set is met at least once.
      const first = await redis.hget(pending, 'id');
      const sets = [await readCountSet(redis, pending), await readCountSet(redis, sealed)].filter((set) => set !== undefined);
      if (first === null || sets.some(({ id }) => id === first)) return sets;
    }
    throw new Error('the counts were rolled up faster than they could be read');
  };
  return (await Promise.all((await sources.list()).map(({ keys }) => read(keys.pending, keys.sealed)))).flat();
}
