import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { describeWith, eventually, startRedisStack } from '@millrace/testing';
import { VectorsUnavailableError } from '../src/index.ts';
import { model, record, unit } from '../src/testing.ts';
import { toList } from '../src/testing/records.ts';
import { redisStore } from './support/redis-store.ts';

const fails = (work: Promise<unknown>): Promise<boolean> => work.then(() => false, (error: unknown) => error instanceof VectorsUnavailableError);

describeWith('redis-stack', 'the Redis of the vectors, killed', () => {
  it('comes back with every batch that was acknowledged, with its index and its alias, and the same writer and reader go on', async () => {
    const server = await startRedisStack();
    const store = await redisStore({ url: server.url });
    try {
      const [admin, reader] = [await store.openAdmin(), await store.openReader()];
      const collection = await admin.createCollection(model('m'));
      await admin.swapTo(collection);
      const writer = await admin.openWriter(collection);
      const acknowledged = new Map<string, number>();
      const done = new AbortController();
      const writing = (async () => {
        for (let batch = 1; !done.signal.aborted; batch++) {
          const records = Array.from({ length: 20 }, (_record, at) => record(`s${(batch * 20 + at) % 500}`, batch, [1, at, batch]));
          // As the bus does: a batch that failed is handled again.
          while (await fails(writer.upsert(records)));
          for (const { sku, version } of records) acknowledged.set(sku, version);
        }
      })();
      for (let round = 0; round < 3; round++) {
        const before = acknowledged.get('s0') ?? 0;
        await eventually(() => (acknowledged.get('s0') ?? 0) > before + 25);
        await server.kill();
        expect(await fails(reader.nearest(unit([1]), { limit: 1, excludeSkus: [] }))).toBe(true);
        expect(await fails(admin.ping())).toBe(true);
        await server.restart();
        await eventually(async () => !(await fails(admin.ping())));
      }
      done.abort();
      await writing;
      const stored = new Map((await toList(admin.readVersions(collection))).flat().map(({ sku, version }) => [sku, version]));
      expect([...acknowledged].filter(([sku, version]) => (stored.get(sku) ?? 0) < version)).toEqual([]);
      expect(await admin.count(collection)).toBe(stored.size);
      expect(await eventually(() => reader.nearest(unit([1]), { limit: 5, excludeSkus: [] }).catch(() => undefined))).toHaveLength(5);
    } finally {
      await store.destroy();
      await server.stop();
    }
  });

  it('gets again what it acknowledged and then lost with its memory: upserts, changed payloads and deletes', async () => {
    const server = await startRedisStack();
    const store = await redisStore({ url: server.url });
    try {
      const admin = await store.openAdmin();
      const collection = await admin.createCollection(model('m'));
      await admin.swapTo(collection);
      const writer = await admin.openWriter(collection);
      await writer.upsert([record('a', 1, [1]), record('b', 1, [2]), record('c', 1, [3])]);
      const direct = connectRedis(server.url, { role: 'background', name: 'test' });
      await whenReady(direct);
      await direct.config('SET', 'appendonly', 'no');
      await direct.save();
      await closeRedis(direct);
      await copyFile(join(server.directory, 'dump.rdb'), join(server.directory, 'kept.rdb'));

      await writer.upsert([record('a', 2, [1, 1]), record('d', 1, [4])]);
      await writer.updatePayload([{ sku: 'b', version: 2, textHash: record('b', 1, [2]).textHash, payload: { ...record('b', 2).payload, category: 'new' } }]);
      await writer.remove([{ sku: 'c', version: 2 }]);
      await server.kill();
      await rm(join(server.directory, 'appendonlydir'), { recursive: true, force: true });
      await copyFile(join(server.directory, 'kept.rdb'), join(server.directory, 'dump.rdb'));
      const config = join(server.directory, 'redis.conf');
      await writeFile(config, (await readFile(config, 'utf8')).replace('appendonly yes', 'appendonly no'));
      await server.restart();

      await eventually(async () => (await writer.describe(['c'])).get('c')?.deleted === true);
      expect([...(await writer.describe(['a', 'b', 'c', 'd']))].map(([sku, { version, deleted, category }]) => [sku, version, deleted, category])).toEqual([
        ['a', 2, false, null], ['b', 2, false, 'new'], ['c', 2, true, null], ['d', 1, false, null],
      ]);
      expect(await admin.count(collection)).toBe(3);
    } finally {
      await store.destroy();
      await server.stop();
    }
  });

  it('keeps no reader waiting while it hangs, and answers again when it goes on', async () => {
    const server = await startRedisStack();
    const store = await redisStore({ url: server.url });
    try {
      const [admin, reader] = [await store.openAdmin(), await store.openReader()];
      const collection = await admin.createCollection(model('m'));
      await admin.swapTo(collection);
      const writer = await admin.openWriter(collection);
      await writer.upsert([record('a', 1, [1])]);
      const ask = () => reader.nearest(unit([1]), { limit: 1, excludeSkus: [] });
      expect(await ask()).toHaveLength(1);
      server.pause();
      // It answers nothing before it is resumed, below.
      expect(await fails(ask())).toBe(true);
      const writing = writer.upsert([record('b', 1, [1, 1])]);
      server.resume();
      await writing;
      await eventually(async () => (await ask().catch(() => [])).length === 1);
      expect((await writer.describe(['b'])).get('b')?.version).toBe(1);
    } finally {
      server.resume();
      await store.destroy();
      await server.stop();
    }
  });
});
