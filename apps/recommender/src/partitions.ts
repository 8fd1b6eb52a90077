import type { Keys, Redis } from '@millrace/redis-kit';

/** Which partitions have counts: those of today and, after a repartitioning, those of before. */
export interface CountedPartitions {
  add(partition: number): Promise<void>;
  /** At most `REFRESH_MS` old; partition 0 where there is none yet. */
  list(): Promise<readonly number[]>;
}

const REFRESH_MS = 5_000;

export function createCountedPartitions(redis: Redis, keys: Keys, now: () => number = Date.now): CountedPartitions {
  let known: readonly number[] = [0];
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    add: async (partition) => {
      if (known.includes(partition) && now() - readAtMs < REFRESH_MS) return;
      await redis.sadd(keys.countPartitions, partition);
      readAtMs = Number.NEGATIVE_INFINITY;
      known = [...new Set([...known, partition])];
    },
    list: async () => {
      if (now() - readAtMs >= REFRESH_MS) {
        known = [...new Set([0, ...(await redis.smembers(keys.countPartitions)).map(Number)])];
        readAtMs = now();
      }
      return known;
    },
  };
}
