import { expect, it } from '@jest/globals';
import type { VectorReader } from '../index.ts';
import type { Store } from '../testing.ts';
import { payload, record, unit } from './records.ts';

const similar = async (reader: VectorReader): Promise<string[]> => (await reader.nearest(unit([1]), { limit: 100, excludeSkus: [] })).map(({ sku }) => sku);

export function describeWriting(store: () => Store): void {
  it('shows a write of another connection at once to a reader that has answered before', async () => {
    const { admin, collection, reader, writer, underTest } = store();
    await writer.upsert([record('a', 1, [1])]);
    expect(await similar(reader)).toEqual(['a']);
    const other = await (await underTest.openAdmin()).openWriter(collection);
    for (let version = 2; version <= 20; version++) {
      await other.upsert([record('b', version, [1, version])]);
      expect(await reader.get('b')).toMatchObject({ version });
      expect(await similar(reader)).toEqual(['a', 'b']);
    }
    await other.remove([{ sku: 'a', version: 2 }]);
    expect(await similar(reader)).toEqual(['b']);
    expect(await admin.count(collection)).toBe(1);
  });

  it('changes nothing when the same batch comes again, or two come in the other order', async () => {
    const { writer, reader } = store();
    const [older, newer] = [record('a', 1, [1]), record('a', 2, [1, 1])];
    await writer.upsert([newer]);
    await writer.upsert([newer]);
    await writer.upsert([older]);
    await writer.upsert([older, newer, older]);
    expect(await reader.get('a')).toMatchObject({ version: 2, textHash: newer.textHash });
    expect((await reader.nearest(unit([1, 1]), { limit: 1, excludeSkus: [] }))[0]?.score).toBeCloseTo(1, 5);
  });

  it('keeps the newest of several versions in one batch', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('a', 2, [1]), record('a', 5, [2, 1]), record('a', 3, [3])]);
    expect(await reader.get('a')).toMatchObject({ version: 5 });
  });

  it('finds a deleted product no more, also when an older update comes after the delete', async () => {
    const { writer, reader, admin, collection } = store();
    await writer.upsert([record('a', 1, [1]), record('b', 1, [1, 1])]);
    await writer.remove([{ sku: 'a', version: 3 }]);
    await writer.upsert([record('a', 2, [1])]);
    await writer.updatePayload([{ sku: 'a', version: 2, textHash: record('a', 2).textHash, payload: payload('a') }, { sku: 'a', version: 4, textHash: record('a', 1).textHash, payload: payload('a') }]);
    expect(await similar(reader)).toEqual(['b']);
    expect(await reader.get('a')).toBeUndefined();
    expect(await admin.count(collection)).toBe(1);
  });

  it('remembers a delete that came before its product', async () => {
    const { writer, reader } = store();
    await writer.remove([{ sku: 'a', version: 3 }]);
    await writer.upsert([record('a', 2, [1])]);
    expect(await similar(reader)).toEqual([]);
  });

  it('ignores a delete that is older than the product', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('a', 4, [1])]);
    await writer.remove([{ sku: 'a', version: 3 }]);
    expect(await similar(reader)).toEqual(['a']);
  });

  it('finds a product that was created again after its delete', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('a', 1, [1])]);
    await writer.remove([{ sku: 'a', version: 2 }]);
    await writer.upsert([record('a', 3, [1])]);
    expect(await similar(reader)).toEqual(['a']);
    expect(await writer.describe(['a'])).toEqual(new Map([['a', expect.objectContaining({ version: 3, deleted: false })]]));
  });

  it('replaces a vector by none when the text has no term any more', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('a', 1, [1])]);
    await writer.upsert([record('a', 2)]);
    expect(await similar(reader)).toEqual([]);
    expect((await reader.get('a'))?.vector).toBeUndefined();
  });

  it('keeps vector and text hash where only the payload changes, and filters by the new payload', async () => {
    const { writer, reader } = store();
    const first = record('a', 1, [1, 2], { category: 'old' });
    await writer.upsert([first]);
    const changed = payload('a', { category: 'new', price_minor: 5, in_stock: false });
    const { textHash } = first;
    await writer.updatePayload([{ sku: 'a', version: 2, textHash, payload: changed }]);
    await writer.updatePayload([{ sku: 'a', version: 1, textHash, payload: payload('a', { category: 'stale' }) }]);
    const kept = await reader.get('a');
    expect(kept).toMatchObject({ version: 2, textHash: first.textHash, payload: changed });
    expect(kept?.vector).toHaveLength(first.vector?.length ?? 0);
    expect(await reader.nearest(unit([1]), { limit: 1, category: 'old', excludeSkus: [] })).toEqual([]);
    expect(await reader.nearest(unit([1]), { limit: 1, category: 'new', excludeSkus: [] })).toHaveLength(1);
    await writer.upsert([record('a', 2, [3])]);
    expect(await reader.get('a')).toMatchObject({ textHash: first.textHash });
  });

  it('changes no payload of a product that is unknown, and none beside the vector of another text', async () => {
    const { writer, reader } = store();
    await writer.upsert([record('b', 1, [1], { category: 'old' })]);
    await writer.updatePayload(['a', 'b'].map((sku) => ({ sku, version: 2, textHash: 'of another text', payload: payload(sku, { category: 'new' }) })));
    expect(await reader.get('a')).toBeUndefined();
    expect(await reader.get('b')).toMatchObject({ version: 1, payload: { category: 'old' } });
    expect([...(await writer.describe(['a', 'b'])).keys()]).toEqual(['b']);
  });

  it('describes what is stored: version, hash and category, of tombstones without a hash, of the unknown nothing', async () => {
    const { writer } = store();
    const [a, b] = [record('a', 1, [1], { category: 'Audio' }), record('b', 2, [1], { category: 'Video' })];
    await writer.upsert([a, b, record('c', 1)]);
    await writer.remove([{ sku: 'b', version: 3 }, { sku: 'd', version: 9 }]);
    const described = await writer.describe(['a', 'b', 'c', 'd', 'e']);
    expect(described.get('a')).toEqual({ version: 1, textHash: a.textHash, embeddedAt: a.embeddedAt, category: 'Audio', deleted: false });
    expect(described.get('b')).toEqual({ version: 3, category: 'Video', deleted: true });
    expect(described.get('c')).toMatchObject({ version: 1, textHash: record('c', 1).textHash, category: null, deleted: false });
    expect(described.get('d')).toMatchObject({ version: 9, deleted: true });
    expect(described.has('e')).toBe(false);
  });

  it('purges old tombstones only, and no reader finds their products again', async () => {
    const { admin, writer, reader } = store();
    await writer.upsert([record('a', 1, [1]), record('b', 1, [1, 1])]);
    expect(await similar(reader)).toEqual(['a', 'b']);
    await writer.remove([{ sku: 'a', version: 2 }]);
    expect(await admin.purgeTombstones(30)).toBe(0);
    expect(await admin.purgeTombstones(0)).toBe(1);
    expect(await similar(reader)).toEqual(['b']);
    expect(await writer.describe(['a', 'b'])).toEqual(new Map([['b', expect.objectContaining({ version: 1 })]]));
  });

  it('ends with the newest version of every product when two writers work at the same time', async () => {
    const { collection, reader, writer, underTest } = store();
    const other = await (await underTest.openAdmin()).openWriter(collection);
    const batches = Array.from({ length: 20 }, (_batch, at) => Array.from({ length: 20 }, (_record, sku) => record(`s${sku}`, at + 1, [1, at])));
    await Promise.all([
      (async () => { for (const batch of batches) await writer.upsert(batch); })(),
      (async () => { for (const batch of batches.toReversed()) await other.upsert(batch); })(),
    ]);
    const described = await writer.describe(Array.from({ length: 20 }, (_sku, at) => `s${at}`));
    expect([...described.values()].map(({ version }) => version)).toEqual(Array.from({ length: 20 }, () => 20));
    expect(await similar(reader)).toHaveLength(20);
  });

  it('does nothing for empty batches', async () => {
    const { writer } = store();
    await writer.upsert([]);
    await writer.remove([]);
    await writer.updatePayload([]);
    expect(await writer.describe([])).toEqual(new Map());
  });
}
