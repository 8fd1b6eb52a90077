import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createSwitchingVectorAdmin, createSwitchingVectorReader, embeddedFeatures, isOfPreviousStore, VectorsUnavailableError } from '../src/index.ts';
import type { VectorAdmin, VectorReader } from '../src/index.ts';
import { describeVectorContract, model, record, unit, type VectorStoreUnderTest } from '../src/testing.ts';
import { toList } from '../src/testing/records.ts';
import { embeddedStore } from './support/embedded-store.ts';

async function pair(): Promise<{ current: VectorStoreUnderTest; previous: VectorStoreUnderTest } & VectorStoreUnderTest> {
  const [current, previous] = [await embeddedStore(), await embeddedStore()];
  return {
    current, previous,
    openAdmin: async () => createSwitchingVectorAdmin({ current: await current.openAdmin(), previous: await previous.openAdmin(), previousName: 'old' }),
    openReader: async () => createSwitchingVectorReader({ current: await current.openReader(), previous: await previous.openReader(), everyMs: 0 }),
    destroy: async () => {
      await current.destroy();
      await previous.destroy();
    },
  };
}

// Nothing was ever live in the store before: the port is that of the new one.
describeVectorContract('a store with an empty one before it', { ...embeddedFeatures, products: 300 }, pair);

describe('a store that takes the place of another', () => {
  let stores: Awaited<ReturnType<typeof pair>>;
  let admin: VectorAdmin;
  let before: VectorAdmin;
  let old: string;
  beforeEach(async () => {
    stores = await pair();
    before = await stores.previous.openAdmin();
    old = await before.createCollection(model('first'));
    await (await before.openWriter(old)).upsert([record('a', 1, [1])]);
    await before.swapTo(old);
    admin = await stores.openAdmin();
  });
  afterEach(() => stores.destroy());
  const found = async (reader: VectorReader): Promise<string[]> => (await reader.nearest(unit([1]), { limit: 10, excludeSkus: [] })).map(({ sku }) => sku);

  it('leaves the store before live, readable and written until the new one is swapped in', async () => {
    const reader = await stores.openReader();
    const live = await admin.liveCollection();
    expect(live).toBe(`old!${old}`);
    expect(isOfPreviousStore(live ?? '')).toBe(true);
    await (await admin.openWriter(live ?? '')).upsert([record('b', 2, [1, 1])]);
    expect(await found(reader)).toEqual(['a', 'b']);
    expect(await admin.count(live ?? '')).toBe(2);
    expect((await toList(admin.readVersions(live ?? ''))).flat()).toHaveLength(2);

    const next = await admin.createCollection(model('second'));
    expect(isOfPreviousStore(next)).toBe(false);
    await (await admin.openWriter(next)).upsert([record('c', 3, [1])]);
    expect(await found(reader)).toEqual(['a', 'b']);
    await admin.swapTo(next);
    expect(await admin.liveCollection()).toBe(next);
    await eventually(async () => (await found(reader)).join() === 'c');
    expect((await reader.model())?.id).toBe('second');
  });

  it('never drops what the store before holds, and does not swap back into it', async () => {
    await admin.dropCollection(`old!${old}`);
    await expect(admin.swapTo(`old!${old}`)).rejects.toThrow(/set VECTOR_STORE back to old/);
    await admin.swapTo(await admin.createCollection(model('second')));
    await admin.dropOthers([]);
    await admin.purgeTombstones(0);
    expect(await before.liveCollection()).toBe(old);
    expect(await before.count(old)).toBe(1);
  });

  it('says what to do where the store before cannot be asked, and takes it for no reason to begin anew', async () => {
    const away = { ...before, liveCollection: async () => Promise.reject(new VectorsUnavailableError('away')), close: async () => undefined };
    const switching = createSwitchingVectorAdmin({ current: await stores.current.openAdmin(), previous: away, previousName: 'qdrant' });
    await expect(switching.liveCollection()).rejects.toThrow(/\(qdrant\) did not answer.*remove VECTOR_STORE_PREVIOUS/);
  });

  it('answers from the new store once it is live, where the one before has nothing, also while an older look at it is under way', async () => {
    const current = await stores.current.openReader();
    const looked = Promise.withResolvers<undefined>();
    let [looks, isAsked] = [0, false];
    const slow: VectorReader = {
      ...current,
      model: async () => {
        const answer = await current.model();
        looks += 1;
        if (looks === 1) await looked.promise;
        return answer;
      },
    };
    const nothing: VectorReader = { ...current, model: async () => undefined, close: async () => undefined, get: async () => {
      isAsked = true;
      throw new VectorsUnavailableError('nothing is live');
    } };
    const reader = createSwitchingVectorReader({ current: slow, previous: nothing });
    const first = reader.model();
    await eventually(() => looks === 1);
    const next = await admin.createCollection(model('second'));
    await (await admin.openWriter(next)).upsert([record('c', 3, [1])]);
    await admin.swapTo(next);
    const got = reader.get('c');
    await eventually(() => isAsked);
    looked.resolve(undefined);
    expect(await first).toMatchObject({ id: 'second' });
    expect(await got).toMatchObject({ sku: 'c' });
  });

  it('names the model of the new store where the one before has none, however slowly it is told', async () => {
    const asked = Promise.withResolvers<undefined>();
    const slow: VectorReader = { exact: true, model: () => asked.promise.then(() => model('second')), get: async () => undefined, nearest: async () => [], close: async () => undefined };
    const nothing: VectorReader = { ...slow, model: () => (asked.resolve(undefined), Promise.resolve(undefined)) };
    expect(await createSwitchingVectorReader({ current: slow, previous: nothing }).model()).toMatchObject({ id: 'second' });
  });

  it('answers from the store before while the new one cannot be asked or hangs, and tells of it', async () => {
    const troubles: unknown[] = [];
    const dead: VectorReader = { exact: true, model: async () => Promise.reject(new VectorsUnavailableError('away')), get: async () => undefined, nearest: async () => [], close: async () => undefined };
    const reader = createSwitchingVectorReader({ current: dead, previous: await stores.previous.openReader(), onTrouble: (error) => troubles.push(error), everyMs: 60_000 });
    expect(await found(reader)).toEqual(['a']);
    expect(await found(reader)).toEqual(['a']);
    expect(troubles).toHaveLength(1);
    const nothing: VectorReader = { ...dead, model: async () => undefined };
    const neither = createSwitchingVectorReader({ current: dead, previous: nothing, onTrouble: (error) => troubles.push(error), everyMs: 60_000 });
    for (let n = 0; n < 3; n += 1) expect(await neither.model()).toBeUndefined();
    expect(troubles).toHaveLength(2);
    const hanging = createSwitchingVectorReader({ current: { ...dead, model: () => new Promise(() => undefined) }, previous: await stores.previous.openReader() });
    expect(await found(hanging)).toEqual(['a']);
  });
});
