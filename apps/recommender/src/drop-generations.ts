import { isCluster, masterNodes } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { FIRST_GENERATION, HOLD, partitionKeys } from './count-keys.ts';
import { dropUnused } from './count-script.ts';

export interface DropGenerationsDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly partitions: () => Promise<readonly number[]>;
  /** Partitions that events come to. */
  readonly current: () => Promise<readonly number[]>;
  /** Readers may still use a replaced one for that long. Default a minute. */
  readonly graceMs?: number;
}

const STEP = 1_000;

/** Removes generations that are neither live nor being built, what a builder that died kept beside them, and partitions that have nothing any more: in small steps, so that Redis is never busy with it. How many keys went. */
export async function dropOldGenerations({ redis, keys, partitions, current, graceMs = 60_000 }: DropGenerationsDeps): Promise<number> {
  const inUse = new Set(await current());
  let dropped = 0;
  for (const partition of await partitions()) {
    const of = partitionKeys(keys, partition);
    const [live, building] = await redis.mget(of.generation, of.building);
    dropped += Number(await dropUnused(redis, [of.building, of.tail, of.userChanges], []));
    const kept = new Set([live ?? FIRST_GENERATION, ...(building == null ? [] : [building.replace(HOLD, '')])]);
    for (const generation of await redis.zrangebyscore(of.generations, '-inf', Date.now() - graceMs)) {
      if (kept.has(generation)) continue;
      dropped += await dropAll(redis, of.of(generation).prefix);
      await redis.zrem(of.generations, generation);
    }
    const isOver = live != null && building == null && !inUse.has(partition) && (await redis.zcard(of.generations)) <= 1;
    if (isOver) {
      dropped += await dropAll(redis, of.of(live).prefix);
      await redis.unlink(of.applied, of.generation, of.generations, of.userMoves);
      await redis.srem(keys.countPartitions, partition);
    }
  }
  return dropped;
}

async function dropAll(redis: Redis, prefix: string): Promise<number> {
  let dropped = 0;
  // On Cluster all of them are on one node, which may be another one while we look.
  for (const node of isCluster(redis) ? masterNodes(redis) : [redis]) {
    for (let cursor = '0'; ; ) {
      const [next, names] = await node.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', STEP);
      if (names.length > 0) dropped += await redis.unlink(...names);
      if (next === '0') break;
      cursor = next;
    }
  }
  return dropped;
}
