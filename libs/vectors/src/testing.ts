import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { describeSearching } from './testing/searching.ts';
import { describeWriting } from './testing/writing.ts';
import { model, record, unit } from './testing/records.ts';
import { VectorsUnavailableError, type VectorAdmin, type VectorReader, type VectorWriter } from './index.ts';

export { model, payload, record, unit } from './testing/records.ts';

export interface VectorFeatures {
  /** Recall is 1 and ties are ordered by sku also at the answer's end. */
  readonly exact: boolean;
  /** Products that searches are compared with brute force on; 1,000 unless told. */
  readonly products?: number;
}

/** One store of its own for a test. Each call of an `open…` makes a new connection, as another process would have. */
export interface VectorStoreUnderTest {
  openAdmin(): Promise<VectorAdmin>;
  openReader(): Promise<VectorReader>;
  /** Closes what was opened and removes the store. */
  destroy(): Promise<void>;
}

/** What the tests work with: a live collection, its writer and a reader that was open before anything was written. */
export interface Store {
  readonly admin: VectorAdmin;
  readonly collection: string;
  readonly writer: VectorWriter;
  readonly reader: VectorReader;
  readonly underTest: VectorStoreUnderTest;
}

/** What every vector store must do, whatever it is built on. */
export function describeVectorContract(name: string, features: VectorFeatures, openStore: () => Promise<VectorStoreUnderTest>): void {
  describe(`${name} satisfies the vector contract`, () => {
    let open: Store | undefined;
    let destroy: (() => Promise<void>) | undefined;
    const store = (): Store => {
      if (open === undefined) throw new Error('only inside a test');
      return open;
    };
    beforeEach(async () => {
      const underTest = await openStore();
      destroy = () => underTest.destroy();
      const [admin, reader] = [await underTest.openAdmin(), await underTest.openReader()];
      const collection = await admin.createCollection(model('first'));
      await admin.swapTo(collection);
      open = { admin, reader, collection, writer: await admin.openWriter(collection), underTest };
    });
    afterEach(async () => {
      await destroy?.();
      open = undefined;
    });

    describeSearching(features, store);
    describeWriting(store);
    describeCollections(store);
  });

  describe(`${name} without a live collection`, () => {
    let destroy: (() => Promise<void>) | undefined;
    afterEach(() => destroy?.());

    it('has no model, refuses a search by a clear error, and works once there is one', async () => {
      const underTest = await openStore();
      destroy = () => underTest.destroy();
      const [admin, reader] = [await underTest.openAdmin(), await underTest.openReader()];
      expect(await admin.liveCollection()).toBeUndefined();
      expect(await reader.model()).toBeUndefined();
      await expect(reader.nearest(unit([1]), { limit: 1, excludeSkus: [] })).rejects.toThrow(VectorsUnavailableError);
      await expect(reader.get('a')).rejects.toThrow(VectorsUnavailableError);

      const collection = await admin.createCollection(model('first'));
      await (await admin.openWriter(collection)).upsert([record('a', 1, [1])]);
      expect(await reader.model()).toBeUndefined();
      await admin.swapTo(collection);
      expect(await reader.get('a')).toMatchObject({ sku: 'a' });
    });
  });
}

function describeCollections(store: () => Store): void {
  it('names the model by the live collection, and gives its document back as it was', async () => {
    const { admin, reader, collection } = store();
    expect(await reader.model()).toEqual(model('first'));
    expect(await admin.modelOf(collection)).toEqual(model('first'));
    const next = await admin.createCollection(model('second', '{"ü":"\\u0000"}'));
    expect(await admin.modelOf(next)).toEqual(model('second', '{"ü":"\\u0000"}'));
    expect(await reader.model()).toEqual(model('first'));
  });

  it('fills a collection beside the live one unseen, and swaps an open reader to it at once, with its model', async () => {
    const { admin, reader, writer, collection } = store();
    await writer.upsert([record('old', 1, [1])]);
    const next = await admin.createCollection(model('second'));
    expect(next).not.toBe(collection);
    await (await admin.openWriter(next)).upsert([record('new', 1, [1])]);
    expect(await found(reader)).toEqual(['old']);

    await admin.swapTo(next);
    expect(await admin.liveCollection()).toBe(next);
    expect(await found(reader)).toEqual(['new']);
    expect(await reader.model()).toEqual(model('second'));
    expect(await reader.get('old')).toBeUndefined();

    await admin.swapTo(collection);
    expect(await found(reader)).toEqual(['old']);
  });

  it('drops other collections, never the live one, and refuses a writer of a dropped one', async () => {
    const { admin, reader, writer, collection } = store();
    await writer.upsert([record('a', 1, [1])]);
    const next = await admin.createCollection(model('second'));
    const kept = await admin.createCollection(model('third'));
    await admin.swapTo(next);
    await admin.dropOthers([kept]);
    await expect(writer.upsert([record('b', 1, [1])])).rejects.toThrow();
    await expect(admin.modelOf(collection)).rejects.toThrow();
    expect(await admin.modelOf(kept)).toEqual(model('third'));
    expect(await reader.model()).toEqual(model('second'));
    expect(await found(reader)).toEqual([]);
  });

  it('does not swap to a collection that does not exist', async () => {
    const { admin, collection } = store();
    await expect(admin.swapTo(`${collection}99`)).rejects.toThrow();
    expect(await admin.liveCollection()).toBe(collection);
  });

  it('counts the products that have a vector', async () => {
    const { admin, writer, collection } = store();
    await writer.upsert([record('a', 1, [1]), record('b', 1, [2]), record('c', 1)]);
    await writer.remove([{ sku: 'b', version: 2 }]);
    expect(await admin.count(collection)).toBe(1);
  });

  it('answers a ping, and admits a second administrator beside the first', async () => {
    const { admin, underTest, collection } = store();
    await admin.ping();
    const other = await underTest.openAdmin();
    expect(await other.liveCollection()).toBe(collection);
  });
}

async function found(reader: VectorReader): Promise<string[]> {
  const hits = await reader.nearest(unit([1]), { limit: 10, excludeSkus: [] });
  return hits.map(({ sku }) => sku);
}
