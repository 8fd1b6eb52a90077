import { isCluster } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { FIRST_GENERATION, partitionKeys } from './count-keys.ts';
import type { CountKeys } from './count-keys.ts';

/** Which partitions have counts: those of today and, until the next rebuild after a repartitioning, those of before; and which generation of each is live. */
export interface CountedPartitions {
  /** Before the first count of one is written. */
  add(partition: number): Promise<void>;
  /** From Redis. */
  list(): Promise<readonly number[]>;
  /** The live counts, for readers: about a second old, at most 30; a replaced generation stays for a minute. Partition 0 where there is none yet. */
  live(): Promise<readonly CountKeys[]>;
}

/** Old enough to look again behind the answer, and too old to be used. */
const STALE_MS = 1_000;
const UNUSABLE_MS = 30_000;
/** Redis may have been flushed. */
const ADD_AGAIN_MS = 5_000;

export function createCountedPartitions(redis: Redis, keys: Keys, now: () => number = Date.now): CountedPartitions {
  const addedAtMs = new Map<number, number>();
  let live: readonly CountKeys[] = [];
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  const list = async (): Promise<readonly number[]> => [...new Set([0, ...(await redis.smembers(keys.countPartitions)).map(Number)])].toSorted((a, b) => a - b);
  const read = async (): Promise<void> => {
    const partitions = (await list()).map((partition) => partitionKeys(keys, partition));
    const names = partitions.map(({ generation }) => generation);
    // A pipeline would have to stay on one node.
    const generations = isCluster(redis) ? await Promise.all(names.map((name) => redis.get(name))) : await redis.mget(...names);
    live = partitions.map((of, at) => of.of(generations[at] ?? FIRST_GENERATION));
    readAtMs = now();
  };
  const refresh = (): Promise<void> => (reading ??= read().finally(() => (reading = undefined)));
  return {
    list,
    add: async (partition) => {
      if (now() - (addedAtMs.get(partition) ?? Number.NEGATIVE_INFINITY) < ADD_AGAIN_MS) return;
      if ((await redis.sadd(keys.countPartitions, partition)) > 0) await refresh();
      addedAtMs.set(partition, now());
    },
    live: async () => {
      const ageMs = now() - readAtMs;
      if (ageMs >= UNUSABLE_MS) await refresh();
      // Whoever asks after a failure asks again.
      else if (ageMs >= STALE_MS) refresh().catch(() => undefined);
      return live;
    },
  };
}
