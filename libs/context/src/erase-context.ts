import { keysOf, peekLayout } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { userKeyList } from './scripts.ts';

const raise = defineScript(`
if (tonumber(redis.call('GET', KEYS[1]) or '0')) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1`, { whenFull: 'run' });

/**
 * From now on a writer of events is refused until it knows of `erasures` erasures (a number that grows). To be repeated on a schedule: a flush and
 * a repartitioning forget it. Returns how many partitions did not know.
 */
export async function announceErasures(redis: Redis, keys: Keys, erasures: number): Promise<number> {
  const { current } = await peekLayout(redis, keys, interactions.name);
  let told = 0;
  for (const { erased } of keysOf(keys, interactions.name, current)) told += Number(await raise(redis, [erased], [erasures]));
  return told;
}

/** Removes the live context of this very id, and where it was merged; returns how many keys there were. */
export const eraseContext = (redis: Redis, keys: Keys, userId: string): Promise<number> => redis.unlink(...userKeyList(keys.user(userId)));
