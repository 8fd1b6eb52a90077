import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { testServer, uniqueName } from '@millrace/testing';
import { createGuardedWriter, createRedisWriterLock, VectorsUnavailableError } from '../src/index.ts';
import type { RowStore, StoredRow, VectorWriter, WriterLock } from '../src/index.ts';
import { record } from '../src/testing.ts';

const collection = 'c';

/** An engine that stores rows one request at a time, and whose next request may never end. */
function slowStore() {
  const stored = new Map<string, StoredRow>();
  const asked: string[] = [];
  const { promise: hangs, resolve: hang } = Promise.withResolvers<void>();
  let hangingSku: string | undefined;
  const rows: RowStore = {
    read: async (skus) => new Map(skus.flatMap((sku) => { const row = stored.get(sku); return row ? [[sku, row] as const] : []; })),
    async write(changed, { signal }) {
      for (const row of changed) {
        signal.throwIfAborted();
        asked.push(row.sku);
        if (row.sku === hangingSku) {
          hang();
          await new Promise(() => undefined);
        }
        stored.set(row.sku, row);
      }
    },
  };
  return { rows, stored, asked, hangs, hangAt: (sku: string | undefined) => { hangingSku = sku; } };
}

describe('a writer under a lease', () => {
  let redis: Redis;
  let lock: WriterLock;
  let prefix: string;
  beforeEach(() => {
    prefix = uniqueName('lock');
    redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
    lock = createRedisWriterLock({ url: testServer('redis'), prefix, ttlMs: 600 });
  });
  afterEach(async () => {
    await lock.close();
    await closeRedis(redis);
  });
  const leaseKey = (): string => `${prefix}:{${collection}}:writer`;
  const open = (rows: RowStore): VectorWriter => createGuardedWriter({ collection, dimensions: 24, lock, rows });

  it('that is lost in the middle of a batch rejects though a request never ends, and the batch sent again is stored as what is newest', async () => {
    const { rows, stored, asked, hangs, hangAt } = slowStore();
    hangAt('b');
    const batch = [record('a', 2, [1]), record('b', 2, [1]), record('c', 2, [1])];
    const writing = open(rows).upsert(batch);
    await hangs;
    await redis.set(leaseKey(), 'of another process', 'PX', 60_000);
    const refusal: unknown = await writing.then(() => undefined, (error: unknown) => error);
    expect(refusal).toBeInstanceOf(VectorsUnavailableError);
    expect(String(refusal)).toMatch(/lease of c's writer was lost: its batch may be stored in part, send it again/);
    expect(asked).toEqual(['a', 'b']);

    stored.set('c', { ...record('c', 3, [1]), deleted: false });
    hangAt(undefined);
    await redis.del(leaseKey());
    await open(rows).upsert(batch);
    expect(Object.fromEntries([...stored.values()].map(({ sku, version }) => [sku, version]))).toEqual({ a: 2, b: 2, c: 3 });
  });

  it('that was lost while the last request was on its way rejects: it may have come too late', async () => {
    const lost = new AbortController();
    const late: RowStore = { read: async () => new Map(), write: async () => lost.abort(new Error('lost')) };
    const writer = createGuardedWriter({ collection, dimensions: 24, rows: late, lock: { hold: (_name, work) => work({ signal: lost.signal, fencingNumber: 1 }), close: async () => undefined } });
    await expect(writer.upsert([record('a', 1, [1])])).rejects.toThrow(VectorsUnavailableError);
  });
});
