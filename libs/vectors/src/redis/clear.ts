import type { Redis } from '@millrace/redis-kit';
import type { Names } from './names.ts';
import { purgeTombstone } from './scripts.ts';

interface Store { readonly redis: Redis; readonly names: Names }

const pageSkus = 500;

/** Removes the records of a collection that nobody writes any more, page by page: none of them is left without its entry in the lists. */
export async function dropRecords({ redis, names }: Store, collection: string): Promise<void> {
  for (const list of [names.skus(collection), names.tombstones(collection)]) {
    for (;;) {
      const skus = await redis.zrange(list, '0', String(pageSkus - 1));
      if (skus.length === 0) break;
      await redis.unlink(...skus.map((sku) => names.record(collection, sku)));
      await redis.zrem(list, ...skus);
    }
  }
}

/** Returns how many tombstones were forgotten. */
export async function purgeOld({ redis, names }: Store, collection: string, before: number): Promise<number> {
  const list = names.tombstones(collection);
  let purged = 0;
  for (;;) {
    const skus = await redis.zrangebyscore(list, '-inf', String(before), 'LIMIT', 0, pageSkus);
    const results = await Promise.all(skus.map((sku) => purgeTombstone(redis, [names.record(collection, sku), list], [sku, before])));
    purged += results.filter((result) => result === 1).length;
    // What is left was deleted again meanwhile.
    if (skus.length < pageSkus || !results.includes(1)) return purged;
  }
}
