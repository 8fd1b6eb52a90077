import { expect, it } from '@jest/globals';
import { describeWith, startTunnel, testServer, uniqueName } from '@millrace/testing';
import { createRedisWriterLock, VectorsUnavailableError } from '@millrace/vectors';
import type { WriterLock } from '@millrace/vectors';
import { model, record, unit } from '@millrace/vectors/testing';
import { connectMilvus } from '../src/client.ts';
import { openMilvusVectorAdmin, openMilvusVectorReader } from '../src/index.ts';
import { upsertRows } from '../src/queries.ts';
import { toRowData } from '../src/rows.ts';
import { createMilvusWriter } from '../src/writer.ts';
import { milvusOptions, milvusStore } from './support/milvus-store.ts';

describeWith('milvus', 'Milvus behind the port', () => {
  it('keeps a model that is larger than a row can be, whatever letters it has', async () => {
    const store = await milvusStore();
    try {
      const admin = await store.openAdmin();
      const document = JSON.stringify({ idf: 'ắ😀"\\'.repeat(20_000) });
      const collection = await admin.createCollection(model('large', document));
      expect((await admin.modelOf(collection)).document === document).toBe(true);
      expect(await admin.count(collection)).toBe(0);
    } finally {
      await store.destroy();
    }
  });

  it('holds collections of other dimensions beside each other, and an open reader follows the swap', async () => {
    const store = await milvusStore();
    try {
      const [admin, reader] = [await store.openAdmin(), await store.openReader()];
      const first = await admin.createCollection(model('first'));
      await (await admin.openWriter(first)).upsert([record('a', 1, [1])]);
      await admin.swapTo(first);
      expect(await reader.nearest(unit([1]), { limit: 1, excludeSkus: [] })).toHaveLength(1);
      const other = await admin.createCollection({ id: 'other', dimensions: 8, document: '{}' });
      await (await admin.openWriter(other)).upsert([{ ...record('b', 1), vector: Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0) }]);
      await admin.swapTo(other);
      expect((await reader.nearest(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0), { limit: 5, excludeSkus: [] })).map(({ sku }) => sku)).toEqual(['b']);
    } finally {
      await store.destroy();
    }
  });

  it('sends no further request of a batch once its lease is lost, and takes the batch when it is sent again', async () => {
    const store = await milvusStore();
    const client = connectMilvus(milvusOptions(), 10_000);
    try {
      const admin = await store.openAdmin();
      const collection = await admin.createCollection(model('first'));
      const lost = new AbortController();
      const lock: WriterLock = { hold: (_name, work) => work({ signal: lost.signal, fencingNumber: 1 }), close: async () => undefined };
      const upsert = client.upsert.bind(client);
      let sent = 0;
      client.upsert = async (data) => {
        sent += 1;
        const answer = await upsert(data);
        lost.abort(new Error('another writer has it'));
        return answer;
      };
      const batch = Array.from({ length: 600 }, (_record, at) => record(`sku-${at}`, 1, [1, at]));
      await expect(createMilvusWriter({ client, lock, collection, dimensions: 24 }).upsert(batch)).rejects.toThrow(/writer was lost/);
      expect([sent, await admin.count(collection)]).toEqual([1, 256]);
      await (await admin.openWriter(collection)).upsert(batch);
      expect(await admin.count(collection)).toBe(600);
    } finally {
      await client.closeConnection();
      await store.destroy();
    }
  });

  it('waits for the lease of another writer, and says so where it never comes', async () => {
    const url = testServer('redis');
    const prefix = uniqueName('lock');
    const [one, other] = [createRedisWriterLock({ url, prefix }), createRedisWriterLock({ url, prefix, waitMs: 100 })];
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { promise: began, resolve: begin } = Promise.withResolvers<void>();
    try {
      const working = one.hold('c', async () => {
        begin();
        await ended;
      });
      await began;
      await expect(other.hold('c', async () => 1)).rejects.toThrow(/another writer of c has held its lease/);
      end();
      await working;
      expect(await other.hold('c', async () => 2)).toBe(2);
    } finally {
      await one.close();
      await other.close();
    }
  });
});

describeWith('milvus', 'Milvus that is away', () => {
  it('gives a write up in time where the server takes it and never answers: the SDK itself would wait a day', async () => {
    const store = await milvusStore();
    const tunnel = await startTunnel(`http://${milvusOptions().address}`);
    const connect = (timeoutMs: number) => connectMilvus({ ...milvusOptions(), address: new URL(tunnel.url).host, timeoutMs }, timeoutMs);
    const [patient, client] = [connect(30_000), connect(1_000)];
    try {
      const collection = await (await store.openAdmin()).createCollection(model('first'));
      const write = (by: typeof client, version: number): Promise<unknown> => upsertRows({ client: by, name: collection }, [toRowData({ ...record('a', version, [1]), deleted: false }, 24)]);
      await write(patient, 1);
      tunnel.swallow(true);
      await expect(write(client, 2)).rejects.toThrow(/did not answer in time/);
    } finally {
      await Promise.all([patient, client].map((one) => one.closeConnection()));
      tunnel.close();
      await store.destroy();
    }
  });

  it('rejects with a sentence and without ending the process, to readers and administrators', async () => {
    const away = { ...milvusOptions(), address: '127.0.0.1:1', timeoutMs: 1_000 };
    const [admin, reader] = [await openMilvusVectorAdmin(away), await openMilvusVectorReader(away)];
    try {
      await expect(admin.ping()).rejects.toThrow(/cannot be reached: look at MILVUS_ADDRESS/);
      await expect(reader.get('a')).rejects.toThrow(VectorsUnavailableError);
      await expect(reader.model()).rejects.toThrow(VectorsUnavailableError);
    } finally {
      await admin.close();
      await reader.close();
    }
  });
});
