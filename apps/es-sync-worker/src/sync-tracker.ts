import { createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

export interface Synced { readonly sku: string; readonly version: number }

export interface SyncTracker {
  /** Call it after the item's own result, never before. */
  markSynced(index: string, items: readonly Synced[]): Promise<void>;
  /** The items whose sku is not recorded at that version or a higher one. */
  unsynced<T extends Synced>(index: string, items: readonly T[]): Promise<T[]>;
  /** The version that is recorded; undefined: none. */
  versionOf(index: string, sku: string): Promise<number | undefined>;
  /** redis_healthy false: the total cannot be known now (0 is answered). */
  stats(index: string): Promise<{ total_synced: number; redis_healthy: boolean }>;
  /** How many entries there were. */
  clear(index: string): Promise<number>;
}

const CHUNK = 1_000;

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < items.length; i += CHUNK) yield items.slice(i, i + CHUNK);
}

/** Hash `sync:<index>`: sku -> version. It only saves work: losing it costs a sweep of everything, never a document. */
export function createSyncTracker(redis: Redis): SyncTracker {
  const keys = createKeys();
  return {
    markSynced: async (index, items) => {
      const pipeline = redis.pipeline();
      for (const chunk of chunksOf(items)) pipeline.hset(keys.syncTracker(index), Object.fromEntries(chunk.map(({ sku, version }) => [sku, version])));
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
    },
    unsynced: async (index, items) => {
      const missing: (typeof items)[number][] = [];
      const chunks = [...chunksOf(items)];
      const known = await Promise.all(chunks.map((chunk) => redis.hmget(keys.syncTracker(index), ...chunk.map((item) => item.sku))));
      for (const [at, chunk] of chunks.entries()) missing.push(...chunk.filter((item, position) => Number(known[at]?.[position] ?? 0) < item.version));
      return missing;
    },
    versionOf: async (index, sku) => {
      const known = await redis.hget(keys.syncTracker(index), sku);
      return known === null ? undefined : Number(known);
    },
    stats: async (index) => {
      try {
        return { total_synced: await redis.hlen(keys.syncTracker(index)), redis_healthy: true };
      } catch {
        return { total_synced: 0, redis_healthy: false };
      }
    },
    clear: async (index) => {
      const total = await redis.hlen(keys.syncTracker(index));
      await redis.unlink(keys.syncTracker(index));
      return total;
    },
  };
}
