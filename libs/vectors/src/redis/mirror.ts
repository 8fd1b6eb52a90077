import type { Redis } from '@millrace/redis-kit';
import { asking } from './client.ts';
import type { Names } from './names.ts';
import { mirrorRecord } from './scripts.ts';
import { walkSkus } from './versions.ts';

/** Field of a live collection: its plain keys are complete, and every write keeps them so. A swap takes it away. */
const done = 'mirrored';

/**
 * Makes the plain keys `<keyPrefix>:<sku>` equal to the live collection: does nothing where they are, begins again where it was cut short,
 * and removes them where they are not wanted any more.
 */
export async function completeMirror({ redis, names, isWanted }: { redis: Redis; names: Names; isWanted: boolean }, live: string): Promise<void> {
  const forEachSku = async (collection: string, act: (sku: string) => Promise<unknown>): Promise<void> => {
    for await (const skus of walkSkus(redis, names.skus(collection))) await asking(() => Promise.all(skus.map(act)));
  };
  const isDone = (await asking(() => redis.hexists(live, done))) === 1;
  if (isDone === isWanted) return;
  if (!isWanted) {
    await forEachSku(live, (sku) => redis.unlink(names.plain(sku)));
    await asking(() => redis.hdel(live, done));
    return;
  }
  // Also the skus of other collections: a plain key that the live one does not have goes.
  for (const collection of await asking(() => redis.smembers(names.collections)))
    await forEachSku(collection, (sku) => mirrorRecord(redis, [names.record(live, sku), names.plain(sku), names.live], [live]));
  await asking(() => redis.hset(live, done, 1));
}
