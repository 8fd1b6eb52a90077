import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { describeCollections, describeReading } from './testing/collections.ts';
import { describeSearching } from './testing/searching.ts';
import { describeWriting } from './testing/writing.ts';
import { model, record, unit } from './testing/records.ts';
import { VectorsUnavailableError, type VectorAdmin, type VectorEngineFeatures, type VectorReader, type VectorWriter } from './index.ts';

export { model, payload, record, unit } from './testing/records.ts';

export interface VectorFeatures extends VectorEngineFeatures {
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
    describeReading(store);
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

