import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { underLoadLock } from '../load/load-lock.ts';
import { noProgress } from '../load/progress.ts';
import type { LoadProgress } from '../load/progress.ts';
import { qualified } from '../load/tables.ts';
import { publishPointer, readPointer, stalePointers } from './pointer.ts';
import type { Pointer } from './pointer.ts';
import { publishGeneration } from './publish.ts';
import { listSets } from './sets.ts';
import { checkGeneration } from './write-generation.ts';
import { readSubscribers } from './read-subscribers.ts';
import type { EncodedSubscriber } from './encode-subscriber.ts';

export interface Verification {
  readonly pointer: Pointer;
  readonly problems: readonly string[];
  readonly repaired: boolean;
}

const COMPARED = 500;

/** Some subscribers of Postgres, chosen anew each time. */
async function someSubscribers(client: PoolClient, pointer: Pointer): Promise<EncodedSubscriber[]> {
  const chosen = await client.query<{ isdn: string }>([qualified('recommendations', pointer.recommendations), qualified('profiles', pointer.profiles)].map((table) => `(select isdn from ${table} order by random() limit ${COMPARED / 2})`).join(' union '));
  return await readSubscribers(client, pointer, chosen.rows.map(({ isdn }) => isdn));
}

async function findProblems(client: PoolClient, redis: Redis, keys: Keys): Promise<{ pointer: Pointer; problems: string[] }> {
  const pointer = await readPointer(client);
  const problems: string[] = [];
  const stale = await stalePointers(redis, keys, pointer);
  if (pointer.redis === 0) return { pointer, problems };
  if (stale > 0) problems.push(`${stale} of ${keys.subscriberPointers.length} copies of the pointer are missing or old`);
  const counts = (await listSets(client)).find(({ isLive }) => isLive)?.counts ?? {};
  problems.push(...(await checkGeneration(redis, keys, pointer.redis, { counts, sample: await someSubscribers(client, pointer) })));
  return { pointer, problems };
}

/**
 * Compares what Redis serves with Postgres: the pointer, the size of every index, and 500 subscribers. With `repair` a generation that differs is
 * written anew under a new number and made live; a pointer that is old is only copied.
 */
export async function verifyGenerations({ pool, redis, keys, keep, repair, erasureSecret, progress = noProgress }: {
  readonly erasureSecret?: string | undefined; readonly pool: Pool; readonly redis: Redis; readonly keys: Keys; readonly keep: number; readonly repair: boolean; readonly progress?: LoadProgress;
}): Promise<Verification> {
  return await underLoadLock(pool, async (client) => {
    const { pointer, problems } = await findProblems(client, redis, keys);
    if (problems.length === 0 || !repair) return { pointer, problems, repaired: false };
    await publishPointer(redis, keys, pointer, { force: true });
    const rest = await findProblems(client, redis, keys);
    if (rest.problems.length === 0) return { pointer, problems, repaired: true };
    const previous = (await listSets(client)).find(({ isLive }) => isLive)?.previous ?? 0;
    const published = await publishGeneration({ pool, erasureSecret, client, redis, keys, triple: pointer, previous, keep, progress, signal: undefined });
    return { pointer: published.pointer, problems, repaired: true };
  }, { name: 'ut360-verify' });
}
