import { expect, it } from '@jest/globals';
import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { VectorsUnavailableError, type VectorReader } from '../index.ts';
import type { Store } from '../testing.ts';
import { model, record, toList, unit } from './records.ts';

export function describeCollections(store: () => Store): void {
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

    await admin.swapTo(next);
    expect(await found(reader)).toEqual(['new']);
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

export function describeReading(store: () => Store): void {
  const versions = async (ranges?: readonly SkuRange[]): Promise<StoredVersion[]> => (await toList(store().admin.readVersions(store().collection, ranges))).flat();
  const skus = async (ranges?: readonly SkuRange[]): Promise<string[]> => (await versions(ranges)).map(({ sku }) => sku).toSorted();

  it('reads the version of every product once, with and without a vector, in batches, and no tombstone', async () => {
    const { admin, collection, writer } = store();
    const count = 4_500;
    const records = Array.from({ length: count }, (_record, at) => record(`sku-${at}`, at + 1, at % 3 === 0 ? undefined : [1, at]));
    for (let start = 0; start < count; start += 500) await writer.upsert(records.slice(start, start + 500));
    await writer.remove([{ sku: 'sku-0', version: 9_001 }, { sku: 'sku-4444', version: 9_002 }, { sku: 'never there', version: 9_003 }]);
    const batches = await toList(admin.readVersions(collection));
    expect(batches.length).toBeGreaterThan(1);
    const bySku = (a: StoredVersion, b: StoredVersion): number => a.version - b.version;
    const expected = records.filter(({ sku }) => sku !== 'sku-0' && sku !== 'sku-4444').map(({ sku, version }) => ({ sku, version, deleted: false }));
    expect(batches.flat().toSorted(bySku)).toEqual(expected);
  });

  it('reads only the ranges that are asked for, by the order of UTF-8 bytes, and what two ranges share once', async () => {
    const { writer } = store();
    // As UTF-8 the face is after the tilde, as UTF-16 before it.
    await writer.upsert(['B', 'a', 'ab', 'b', 'ü', '\u{ff5e}', '\u{1f600}', '\u{1f600}!'].map((sku, at) => record(sku, at + 1, [1, at])));
    expect(await skus([{ from: 'a', to: 'b' }])).toEqual(['a', 'ab']);
    expect(await skus([{ to: 'a' }, { from: '\u{1f600}' }])).toEqual(['B', '\u{1f600}', '\u{1f600}!']);
    expect(await skus([{ from: 'c', to: '\u{1f600}' }])).toEqual(['ü', '\u{ff5e}']);
    expect(await skus([{ from: 'ab' , to: 'c' }, { from: 'a', to: 'ab' }, { from: 'B', to: 'b' }, { from: 'a', to: 'b' }])).toEqual(['B', 'a', 'ab', 'b']);
    expect(await skus([])).toEqual([]);
    expect(await skus([{ from: 'b', to: 'a' }, { from: 'a', to: 'a' }])).toEqual([]);
  });

  it('reads nothing of an empty collection, stops when it is told to, and rejects for one that is not there', async () => {
    const { admin, collection, writer } = store();
    expect(await versions()).toEqual([]);
    await writer.upsert([record('a', 1, [1])]);
    await expect(toList(admin.readVersions(collection, undefined, AbortSignal.abort()))).rejects.toThrow('abort');
    await expect(toList(admin.readVersions(`${collection}99`))).rejects.toThrow(VectorsUnavailableError);
  });

  it('opens a reader of a collection that is not live, which stays with it through swaps', async () => {
    const { admin, reader, writer, collection } = store();
    await writer.upsert([record('old', 1, [1])]);
    const next = await admin.createCollection(model('second'));
    const beside = await admin.openReader(next);
    try {
      expect(await beside.model()).toEqual(model('second'));
      await (await admin.openWriter(next)).upsert([record('new', 1, [1])]);
      expect(await found(beside)).toEqual(['new']);
      expect(await beside.get('new')).toMatchObject({ version: 1 });
      expect(await found(reader)).toEqual(['old']);
      await admin.swapTo(next);
      await admin.swapTo(collection);
      expect(await found(beside)).toEqual(['new']);
      expect(await beside.model()).toEqual(model('second'));
    } finally {
      await beside.close();
    }
    await expect(admin.openReader(`${collection}99`)).rejects.toThrow(VectorsUnavailableError);
  });
}
