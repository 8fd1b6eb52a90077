import { isCluster } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { countKeys } from './count-keys.ts';

/** Users and items whose counts are measured: those that were counted last. */
const SAMPLE = 200;

export interface CountMemory {
  counted(users: readonly string[], skus: readonly string[]): void;
  /** Bytes of Redis for one user, and for the neighbours of one item, on average over those counted last; null where nobody was. */
  measure(partitions: readonly number[]): Promise<{ readonly bytesPerUser: number | null; readonly bytesPerItem: number | null }>;
}

/** What the counts cost, as Redis says (MEMORY USAGE): metrics `recs_bytes_per_user` and `recs_bytes_per_item`, set with each measuring. */
export function createCountMemory({ redis, keys, metrics }: { readonly redis: Redis; readonly keys: Keys; readonly metrics: Registry }): CountMemory {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [metrics] });
  const perUser = gauge('recs_bytes_per_user', 'Bytes of Redis for the counts of a user, average of those counted last');
  const perItem = gauge('recs_bytes_per_item', 'Bytes of Redis for the neighbours of an item, average of those counted last');
  const samples = { users: new Set<string>(), skus: new Set<string>() };
  const keep = (sample: Set<string>, names: readonly string[]): void => {
    for (const name of names) {
      sample.delete(name);
      sample.add(name);
    }
    for (const name of [...sample].slice(0, Math.max(0, sample.size - SAMPLE))) sample.delete(name);
  };
  const bytesOf = async (all: readonly string[]): Promise<number> => {
    const sizes = await Promise.all(all.map((key) => redis.call('MEMORY', ...(isCluster(redis) ? ['USAGE', key] : ['USAGE', key, 'SAMPLES', '0']))));
    return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0);
  };
  return {
    counted: (users, skus) => {
      keep(samples.users, users);
      keep(samples.skus, skus);
    },
    measure: async (partitions) => {
      const all = partitions.map((partition) => countKeys(keys, partition));
      const average = async (sample: ReadonlySet<string>, keysOf: (name: string) => string[], into: Gauge): Promise<number | null> => {
        if (sample.size === 0) return null;
        const bytes = (await bytesOf([...sample].flatMap(keysOf))) / sample.size;
        into.set(bytes);
        return bytes;
      };
      return {
        bytesPerUser: await average(samples.users, (id) => all.map((of) => of.user(id)), perUser),
        bytesPerItem: await average(samples.skus, (sku) => all.flatMap((of) => [of.neighbours('co_buy', sku), of.neighbours('co_view', sku)]), perItem),
      };
    },
  };
}
