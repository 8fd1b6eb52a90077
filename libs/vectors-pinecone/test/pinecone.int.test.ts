import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { eventually, testServer } from '@millrace/testing';
import { UnsupportedVectorServerError, VectorsUnavailableError } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import { model, record, unit } from '@millrace/vectors/testing';
import { inspect } from 'node:util';
import { openPineconeVectorAdmin, openPineconeVectorReader } from '../src/index.ts';
import type { PineconeOptions } from '../src/index.ts';
import { startPineconeStub } from '../src/testing.ts';
import type { PineconeStub } from '../src/testing.ts';

const apiKey = 'pc-secret-77';

/** Against a stub of the wire: the service itself was never asked. */
describe('Pinecone behind the port', () => {
  let stub: PineconeStub;
  let admin: VectorAdmin;
  const options = (): PineconeOptions => ({ apiKey, host: stub.host, namespace: 'products', lockUrl: testServer('redis'), freshMs: 1_000 });
  beforeEach(async () => {
    stub = await startPineconeStub({ dimension: 24, apiKey });
    admin = await openPineconeVectorAdmin(options());
  });
  afterEach(async () => {
    await admin.close();
    await stub.stop();
  });

  it('waits until it can read what it wrote, so that the next batch compares with it', async () => {
    const collection = await admin.createCollection(model('first'));
    await admin.swapTo(collection);
    const writer = await admin.openWriter(collection);
    stub.behindBy = 6;
    await writer.upsert([record('a', 5, [1])]);
    await writer.upsert([record('a', 4, [0, 1])]);
    await writer.remove([{ sku: 'a', version: 3 }]);
    expect((await writer.describe(['a'])).get('a')).toMatchObject({ version: 5, deleted: false });
  });

  it('rejects, and may be sent the batch again, where it never gets to read it', async () => {
    const collection = await admin.createCollection(model('first'));
    const writer = await admin.openWriter(collection);
    stub.behindBy = 1_000_000;
    await expect(writer.upsert([record('a', 1, [1])])).rejects.toThrow(/did not show the batch within 1000 ms/);
  });

  it('stops a batch and cancels the request that waits once its lease is another writer\'s, and takes the batch when it is sent again', async () => {
    const collection = await admin.createCollection(model('first'));
    const writer = await admin.openWriter(collection);
    const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
    const leaseKey = `vectors:pinecone:{${collection}}:writer`;
    const batch = Array.from({ length: 250 }, (_record, at) => record(`sku-${at}`, 1, [1, at]));
    const upserts = (routes: readonly string[]): number => routes.filter((route) => route === 'POST /vectors/upsert').length;
    const before = upserts(stub.seen);
    stub.silentOn = 'POST /vectors/upsert';
    try {
      const writing = writer.upsert(batch);
      await eventually(() => upserts(stub.seen) === before + 1);
      await redis.set(leaseKey, 'of another process', 'PX', 60_000);
      await expect(writing).rejects.toThrow(/lease of .*'s writer was lost/);
      await eventually(() => upserts(stub.cancelled) === 1);
      expect(upserts(stub.seen)).toBe(before + 1);
      stub.silentOn = undefined;
      await redis.del(leaseKey);
      await writer.upsert(batch);
      expect(await admin.count(collection)).toBe(250);
    } finally {
      await closeRedis(redis);
    }
  });

  it('refuses vectors of another dimension than the index has, and says what to do', async () => {
    await expect(admin.createCollection({ id: 'm', dimensions: 1_536, document: '{}' })).rejects.toThrow(UnsupportedVectorServerError);
    await expect(admin.createCollection({ id: 'm', dimensions: 1_536, document: '{}' })).rejects.toThrow(/has 24 dimensions, the vectors 1536.*PINECONE_INDEX/);
  });

  it('cuts a batch into requests of less than 2 MB, whatever the dimension', async () => {
    const dimension = 1_536;
    const wide = await startPineconeStub({ dimension, apiKey });
    const its = await openPineconeVectorAdmin({ ...options(), host: wide.host });
    try {
      const collection = await its.createCollection({ id: 'wide', dimensions: dimension, document: '{}' });
      // Numbers that take as many characters as they can.
      const vectorOf = (at: number): Float32Array => {
        const values = Array.from({ length: dimension }, (_value, place) => Math.sin(at * dimension + place + 1) - 0.001);
        const length = Math.hypot(...values);
        return Float32Array.from(values, (value) => value / length);
      };
      const batch = Array.from({ length: 100 }, (_record, at) => ({ ...record(`sku-${at}`, 1), vector: vectorOf(at) }));
      await (await its.openWriter(collection)).upsert(batch);
      expect(await its.count(collection)).toBe(100);
    } finally {
      await its.close();
      await wide.stop();
    }
  });

  it('keeps a model that is larger than the metadata of a record can be', async () => {
    const document = JSON.stringify({ idf: 'ắ😀"'.repeat(10_000) });
    const collection = await admin.createCollection(model('large', document));
    expect((await admin.modelOf(collection)).document === document).toBe(true);
  });

  it('is unavailable in a sentence, and shows no key, where the key is wrong, the service fails or is away', async () => {
    const collection = await admin.createCollection(model('first'));
    await admin.swapTo(collection);
    const wrong = await openPineconeVectorReader({ ...options(), apiKey: 'pc-wrong-99' });
    const refusal: unknown = await wrong.model().then(() => undefined, (error: unknown) => error);
    expect(refusal).toBeInstanceOf(VectorsUnavailableError);
    expect(String(refusal)).toMatch(/look at PINECONE_API_KEY/);
    expect(inspect(refusal, { depth: 9 })).not.toContain('pc-wrong-99');
    const reader = await openPineconeVectorReader(options());
    stub.failWith = 500;
    await expect(reader.nearest(unit([1]), { limit: 1, excludeSkus: [] })).rejects.toThrow(VectorsUnavailableError);
    const away = await openPineconeVectorReader({ ...options(), host: 'http://127.0.0.1:1' });
    await expect(away.get('a')).rejects.toThrow(/cannot be reached/);
  });

  it('follows a swap within the time that it goes by what it knows', async () => {
    const reader = await openPineconeVectorReader({ ...options(), liveTtlMs: 0 });
    const [first, second] = [await admin.createCollection(model('first')), await admin.createCollection(model('second'))];
    await admin.swapTo(first);
    expect((await reader.model())?.id).toBe('first');
    await admin.swapTo(second);
    expect((await reader.model())?.id).toBe('second');
  });
});
