import { isCluster, masterNodes } from '@millrace/redis-kit';
import type { Redis, SingleRedis } from '@millrace/redis-kit';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { CountKeys } from './count-keys.ts';

/** Users and items that are measured. */
const SAMPLE = 200;
/** Steps of a search for users, each of some 2,000 keys of Redis. */
const MAX_STEPS = 200;

export interface MeasuredMemory {
  /** Bytes of Redis for the history of one user; null where there is none. */
  readonly bytesPerUser: number | null;
  /** Bytes of Redis for the neighbours of one item; null where there is none. */
  readonly bytesPerItem: number | null;
  readonly users: number;
  readonly items: number;
}

export interface CountMemory {
  /** On average over some users and items. */
  measure(live: readonly CountKeys[]): Promise<MeasuredMemory>;
}

/** What the counts cost, as Redis says (MEMORY USAGE): metrics `recs_bytes_per_user` and `recs_bytes_per_item`, set with each measuring. */
export function createCountMemory({ redis, metrics }: { readonly redis: Redis; readonly metrics: Registry }): CountMemory {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [metrics] });
  const perUser = gauge('recs_bytes_per_user', 'Bytes of Redis for the counts of a user, on average over some');
  const perItem = gauge('recs_bytes_per_item', 'Bytes of Redis for the neighbours of an item, on average over some');
  return {
    measure: async (live) => {
      const users = (await Promise.all(live.map((of) => someUsers(redis, of)))).flat();
      const skus = [...new Set((await Promise.all(live.flatMap((of) => [someItems(redis, of.counter('baskets')), someItems(redis, of.counter('views'))]))).flat())];
      const ofItems = await bytesOf(redis, live.flatMap((of) => skus.flatMap((sku) => [of.neighbours('co_buy', sku), of.neighbours('co_view', sku)])));
      const bytesPerUser = users.length === 0 ? null : (await bytesOf(redis, users)) / users.length;
      const bytesPerItem = skus.length === 0 ? null : ofItems / skus.length;
      perUser.set(bytesPerUser ?? 0);
      perItem.set(bytesPerItem ?? 0);
      return { bytesPerUser, bytesPerItem, users: users.length, items: skus.length };
    },
  };
}

async function bytesOf(redis: Redis, names: readonly string[]): Promise<number> {
  const sizes = await Promise.all(names.map((key) => redis.call('MEMORY', ...(isCluster(redis) ? ['USAGE', key] : ['USAGE', key, 'SAMPLES', '0']))));
  return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0);
}

async function someItems(redis: Redis, counter: string): Promise<readonly string[]> {
  const found = await redis.hrandfield(counter, SAMPLE);
  return Array.isArray(found) ? found.map(String) : [];
}

/** Keys of users. SCAN begins where its hash function says, so they are any users. */
async function someUsers(redis: Redis, of: CountKeys): Promise<readonly string[]> {
  const found: string[] = [];
  for (const node of isCluster(redis) ? masterNodes(redis) : [redis]) found.push(...(await usersOn(node, of)));
  return found.slice(0, SAMPLE);
}

async function usersOn(node: SingleRedis, of: CountKeys): Promise<readonly string[]> {
  const found: string[] = [];
  for (let cursor = '0', steps = 0; steps < MAX_STEPS && found.length < SAMPLE; steps += 1) {
    const [next, names] = await node.scan(cursor, 'MATCH', of.user('*'), 'COUNT', 2_000);
    found.push(...names);
    if (next === '0') break;
    cursor = next;
  }
  return found;
}
