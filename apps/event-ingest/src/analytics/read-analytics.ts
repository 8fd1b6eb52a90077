import type { Redis } from '@millrace/redis-kit';
import { within } from '@millrace/service';
import type { Pool } from 'pg';
import { readOldestDeferred, readRolledUpTo } from './analytics.repository.ts';
import type { Sources } from './sources.ts';
import { readUnflushed } from './unflushed.ts';
import type { CountSet } from './unflushed.ts';

/** What the counts in Redis add to those in Postgres, and how far both go. */
export interface Fresh {
  readonly sets: readonly CountSet[];
  /** Milliseconds since 1970: whatever was taken before is counted. Null: nothing is known. */
  readonly completeTo: number | null;
  /** Redis did not answer. */
  readonly isDegraded: boolean;
}

export interface FreshDeps {
  readonly redis: Redis;
  readonly sources: Pick<Sources, 'list'>;
  readonly pool: Pool;
  /** Age of the oldest event that is not counted, milliseconds. */
  readonly lagMs: () => Promise<number>;
  /** One reading serves all who ask while it runs, and so long after it; with 0 nobody after it. */
  readonly shareMs?: number;
  readonly timeoutMs?: number;
  readonly onFailure?: (error: unknown) => void;
}

/** Reads what Redis has, or says that it cannot be read: then Postgres alone answers. Rejects only where Postgres does not answer. */
export function createFreshReader({ redis, sources, pool, lagMs, shareMs = 200, timeoutMs = 1_000, onFailure }: FreshDeps): () => Promise<Fresh> {
  const late = (): Error => new Error(`Redis did not answer within ${timeoutMs} ms`);
  const read = async (): Promise<Fresh> => {
    // Before anything is read: what comes meanwhile is not promised.
    const startMs = Date.now();
    const deferred = await readOldestDeferred(pool);
    try {
      const behind = await within(timeoutMs, lagMs(), late);
      const sets = await within(timeoutMs, readUnflushed(redis, sources), late);
      return { sets, completeTo: Math.min(startMs - behind, deferred ?? startMs), isDegraded: false };
    } catch (error) {
      onFailure?.(error);
      return { sets: [], completeTo: await readRolledUpTo(pool), isDegraded: true };
    }
  };
  let shared: Promise<Fresh> | undefined;
  return () => {
    if (shared) return shared;
    const fresh = read();
    shared = fresh;
    const forget = (): void => void (shared = undefined);
    fresh.then(() => (shareMs > 0 ? void setTimeout(forget, shareMs).unref() : forget()), forget);
    return fresh;
  };
}
