import { setTimeout as delay } from 'node:timers/promises';
import { closeRedis, connectRedis, openLease } from '@millrace/redis-kit';
import type { Lease } from '@millrace/redis-kit';
import { VectorsUnavailableError } from './errors.ts';

/** One writer a collection, for engines that cannot compare and write in one step. */
export interface WriterLock {
  /**
   * Runs `work` while nobody else, in any process, holds the lock of that name; waits for its turn. `signal` aborts when the lock is lost; look
   * at it before each request that writes. A process that stands still between that look and its request, and a request that is on its way and
   * cannot be cancelled, may still be late: no engine that needs this lock can refuse such a write, so versions are compared with the
   * catalogue's again by the reconciler.
   * @throws VectorsUnavailableError where the turn does not come in time, or Redis does not answer
   */
  hold<T>(name: string, work: (lease: Pick<Lease, 'signal' | 'fencingNumber'>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface RedisWriterLockOptions {
  /** The bus and state Redis. */
  readonly url: string;
  /** What the locks' keys begin with. */
  readonly prefix: string;
  /** How long a writer that died keeps the others out. Default 10,000. */
  readonly ttlMs?: number;
  /** Longest wait for a turn. Default 30,000. */
  readonly waitMs?: number;
}

const firstPauseMs = 2;
const longestPauseMs = 50;

/** Leases in Redis; callers of one process queue up before they ask for one. */
export function createRedisWriterLock({ url, prefix, ttlMs = 10_000, waitMs = 30_000 }: RedisWriterLockOptions): WriterLock {
  const redis = connectRedis(url, { role: 'background', name: 'vector-writer' });
  const queues = new Map<string, Promise<unknown>>();

  const acquire = async (name: string): Promise<Lease> => {
    const key = `${prefix}:{${name}}:writer`;
    const untilMs = performance.now() + waitMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      const lease = await openLease({ redis, keys: { lease: key, fence: `${key}:fence` }, ttlMs }).catch((error: unknown) => {
        throw new VectorsUnavailableError('Redis did not answer: the vector store needs it for the lease of its one writer', { cause: error });
      });
      if (lease !== undefined) return lease;
      if (performance.now() > untilMs) throw new VectorsUnavailableError(`another writer of ${name} has held its lease for ${waitMs} ms`);
      await delay(pauseMs + Math.random() * pauseMs);
    }
  };
  const run = async <T>(name: string, work: (lease: Lease) => Promise<T>): Promise<T> => {
    const lease = await acquire(name);
    try {
      return await work(lease);
    } finally {
      await lease.release();
    }
  };
  return {
    hold: (name, work) => {
      const before = queues.get(name) ?? Promise.resolve();
      const mine = before.then(() => run(name, work));
      const settled = mine.then(() => undefined, () => undefined); // the caller is told by `mine`
      queues.set(name, settled);
      return mine;
    },
    close: () => closeRedis(redis),
  };
}
