import type { Keys, Redis } from '@millrace/redis-kit';
import { countKeys } from './count-keys.ts';

/** Removes what a user bought and looked at from the counts of every partition; how many keys there were. Safe to repeat. */
export const forgetCounts =
  ({ redis, keys, partitions }: { readonly redis: Redis; readonly keys: Keys; readonly partitions: () => Promise<readonly number[]> }) =>
  async (userId: string): Promise<number> => {
    let erased = 0;
    for (const partition of await partitions()) erased += await redis.unlink(countKeys(keys, partition).user(userId));
    return erased;
  };
