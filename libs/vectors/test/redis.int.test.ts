import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asFields, asList, closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { describeWith, testServer, uniqueName } from '@millrace/testing';
import { openRedisVectorAdmin, openRedisVectorReader, UnsupportedVectorServerError, VectorsUnavailableError, type RedisVectorOptions, type VectorAdmin } from '../src/index.ts';
import { model, payload, record, unit } from '../src/testing.ts';
import { dimensions, randomRecords } from '../src/testing/records.ts';
import { redisStore } from './support/redis-store.ts';

const all = { limit: 10, excludeSkus: [] };

describe('a Redis that cannot hold vectors', () => {
  const options = (url: string): RedisVectorOptions => ({ url, alias: uniqueName('vectors') });

  it('is refused in a sentence where it has no search module, by the writer and by the reader', async () => {
    for (const open of [openRedisVectorAdmin, openRedisVectorReader]) {
      const refused = open(options(testServer('redis')));
      await expect(refused).rejects.toThrow(UnsupportedVectorServerError);
      await expect(refused).rejects.toThrow(/search module.*does not know FT\.CREATE.*VECTOR_REDIS_URL/);
    }
  });

  it('is refused in a sentence where it is a cluster', async () => {
    await expect(openRedisVectorAdmin(options(testServer('redis-cluster')))).rejects.toThrow(/single Redis.*cluster/);
  });

  it('is opened while it is away, and says so when it is asked', async () => {
    const away = options('redis://127.0.0.1:1');
    const [admin, reader] = await Promise.all([openRedisVectorAdmin(away), openRedisVectorReader(away)]);
    await expect(reader.nearest(unit([1]), all)).rejects.toThrow(VectorsUnavailableError);
    await expect(admin.ping()).rejects.toThrow(VectorsUnavailableError);
    await Promise.all([admin.close(), reader.close()]);
  });
});

describeWith('redis-stack', 'the store in Redis', () => {
  let store: Awaited<ReturnType<typeof redisStore>>;
  let redis: Redis;
  let admin: VectorAdmin;
  beforeEach(async () => {
    store = await redisStore();
    redis = connectRedis(store.options.url, { role: 'background', name: 'test' });
    await whenReady(redis);
    admin = await store.openAdmin();
  });
  afterEach(async () => {
    await store.destroy();
    await closeRedis(redis);
  });

  const live = async (id = 'm'): Promise<string> => {
    const collection = await admin.createCollection(model(id));
    await admin.swapTo(collection);
    return collection;
  };
  const key = (sku: string, of = 'm'): string => `${store.options.keyPrefix}@${of}:${sku}`;
  const searchAlias = async (query: string, ...params: (string | Buffer)[]): Promise<string[]> => {
    const reply = asList(await redis.call('FT.SEARCH', [store.options.alias, query, ...(params.length === 0 ? [] : ['PARAMS', params.length, ...params]), 'NOCONTENT', 'DIALECT', 2]));
    return reply.slice(1).map(String).toSorted();
  };
  const bytes = (values: readonly number[]): Buffer => Buffer.from(new Uint8Array(unit(values).buffer));

  it('shows other readers the fields of the contract under the key of the model, and finds them by the alias', async () => {
    const writer = await admin.openWriter(await live());
    await writer.upsert([record('a', 7, [3, 4], { category: 'Audio', price_minor: 1_250, currency: 'EUR', merchant_id: 3, in_stock: false }), record('b', 8, [1], { category: 'Video' })]);
    const fields = await redis.hgetall(key('a'));
    expect(fields).toMatchObject({ sku: 'a', category: 'Audio', name: 'Product a', price_minor: '1250', currency: 'EUR', merchant_id: '3', in_stock: '0', version: '7', model: 'm' });
    expect(Date.parse(fields['updated_at'] ?? '')).toBeGreaterThan(Date.now() - 60_000);
    expect(await redis.hgetBuffer(key('a'), 'vector')).toEqual(bytes([3, 4]));
    expect(await searchAlias('(@category:{$c})=>[KNN 5 @vector $v]', 'c', 'Audio', 'v', bytes([1]))).toEqual([key('a')]);
    expect(await searchAlias('@price_minor:[1000 1300] @merchant_id:{$m} @in_stock:{$s}', 'm', '3', 's', '0')).toEqual([key('a')]);
    expect(await searchAlias('*')).toEqual([key('a'), key('b')]);
  });

  it('leaves of a deleted product its version and its category, which no search finds', async () => {
    const writer = await admin.openWriter(await live());
    await writer.upsert([record('a', 7, [3, 4], { category: 'Audio' })]);
    await writer.remove([{ sku: 'a', version: 9 }]);
    expect(Object.keys(await redis.hgetall(key('a'))).toSorted()).toEqual(['category', 'deleted', 'deleted_at', 'model', 'sku', 'updated_at', 'version']);
    expect(await redis.hget(key('a'), 'version')).toBe('9');
    expect(await searchAlias('*')).toEqual([]);
  });

  it('builds a collection of the same model beside the live one, and never takes a name twice', async () => {
    const first = await live();
    const second = await live();
    expect([first, second]).toEqual([`${store.options.keyPrefix}@m`, `${store.options.keyPrefix}@m@2`]);
    await (await admin.openWriter(first)).upsert([record('a', 1, [1])]);
    await (await admin.openWriter(second)).upsert([record('b', 1, [1])]);
    expect(await searchAlias('*')).toEqual([key('b', 'm@2')]);
    await admin.dropOthers([]);
    expect(await redis.exists(key('a'), first)).toBe(0);
    expect(await live()).toBe(`${store.options.keyPrefix}@m@3`);
    expect(await searchAlias('*')).toEqual([]);
  });

  it('leaves no key behind of a dropped collection, also where the drop was cut short', async () => {
    const first = await live();
    const writer = await admin.openWriter(first);
    await writer.upsert(Array.from({ length: 1_200 }, (_record, at) => record(`s${at}`, 1, [1, at])));
    await writer.remove([{ sku: 's1', version: 2 }]);
    await live('next');
    // As a drop that was killed after its first step.
    await redis.hset(first, 'state', 'dropped');
    await redis.call('FT.DROPINDEX', [first]);
    await admin.dropOthers([]);
    expect((await redis.keys(`${store.options.keyPrefix}*`)).filter((name) => !name.includes('@next'))).toEqual([`${store.options.keyPrefix}-generations`]);
  });

  it('searches a collection of other dimensions as soon as it is live', async () => {
    const writer = await admin.openWriter(await live());
    await writer.upsert([record('a', 1, [1])]);
    const reader = await store.openReader();
    expect(await reader.nearest(unit([1]), all)).toHaveLength(1);
    const small = await admin.createCollection({ ...model('small'), dimensions: 2 });
    await (await admin.openWriter(small)).upsert([{ ...record('b', 1), vector: Float32Array.of(0, 1) }]);
    await admin.swapTo(small);
    expect((await reader.nearest(Float32Array.of(0, 1), all)).map(({ sku }) => sku)).toEqual(['b']);
    await expect(reader.nearest(unit([1]), all)).rejects.toThrow('dimensions');
  });

  it('gives a new index the graph that is configured', async () => {
    const other = await openRedisVectorAdmin({ ...store.options, hnsw: { m: 24, efConstruction: 77 } });
    const collection = await other.createCollection(model('m'));
    await other.close();
    const [vector] = asList(asFields(await redis.call('FT.INFO', [collection])).get('attributes'));
    expect([...asFields(vector)]).toEqual(expect.arrayContaining([['algorithm', 'HNSW'], ['data_type', 'FLOAT32'], ['dim', dimensions], ['distance_metric', 'COSINE'], ['M', 24], ['ef_construction', 77]]));
  });

  describe('with strings that mean something in a query', () => {
    const words = ['a', 'A', 'a b', ' a', 'a ', '', ' ', 'a,b', 'a|b', 'a*', '*', '$vector', '{x}', '}', '(', ')=>[KNN 1 @vector $v]', '"', "'", '\\', 'a\\b', '-a', '@brand:{x}', '%a%', '~', ':', ';', '\n', 'a\nb', '\u0000', 'a\u0000b', 'a\u0001b', '\u0002', 'ü', 'đường', '\u00a0a', '\u{1f600}', 'w\'x\'', 'true', 'null', 'x'.repeat(5_000), `${'x'.repeat(4_999)}y`];

    it('finds exactly the products of a category, whatever it is called', async () => {
      const writer = await admin.openWriter(await live());
      const reader = await store.openReader();
      await writer.upsert(words.map((category, at) => record(`s${at}`, 1, [1, at], { category, brand: words[words.length - 1 - at] ?? null })));
      for (const [at, word] of words.entries()) {
        expect([word, (await reader.nearest(unit([1]), { ...all, category: word })).map(({ sku, payload: of }) => [sku, of.category])]).toEqual([word, [[`s${at}`, word]]]);
        expect([word, (await reader.nearest(unit([1]), { ...all, brand: word })).map(({ sku, payload: of }) => [sku, of.brand])]).toEqual([word, [[`s${words.length - 1 - at}`, word]]]);
      }
    });

    it('keeps products and models apart, whatever they are called', async () => {
      const collection = await live('a:b @2*');
      const beside = await admin.createCollection(model('a'));
      const writer = await admin.openWriter(collection);
      const reader = await store.openReader();
      await (await admin.openWriter(beside)).upsert([record('b', 1, [1])]);
      await writer.upsert(words.map((sku, at) => record(sku, at + 1, [1, at])));
      for (const [at, sku] of words.entries()) expect(await reader.get(sku)).toMatchObject({ sku, version: at + 1 });
      expect(await admin.count(collection)).toBe(words.length);
      expect(await admin.count(beside)).toBe(1);
      await writer.remove(words.map((sku) => ({ sku, version: 100 })));
      expect(await reader.nearest(unit([1]), all)).toEqual([]);
    });
  });

  it.each([
    { name: 'exactly what brute force finds, where not too many products pass the filter', exactUpTo: 5_000, recall: 1 },
    { name: 'nearly all of it, where the graph is asked because very many pass', exactUpTo: 100, recall: 0.95 },
  ])('finds $name', async ({ exactUpTo, recall }) => {
    const writer = await admin.openWriter(await live());
    const reader = await openRedisVectorReader({ ...store.options, exactUpTo });
    let [found, wanted] = [0, 0];
    const records = randomRecords(1_500);
    await writer.upsert(records);
    for (const { vector = unit([1]), payload: { category } } of records.slice(0, 40)) {
      const score = (other: Float32Array): number => other.reduce((sum, value, at) => sum + value * (vector[at] ?? 0), 0);
      const expected = records.filter((one) => one.payload.category === category).map((one) => ({ sku: one.sku, score: score(one.vector ?? new Float32Array(dimensions)) })).toSorted((a, b) => b.score - a.score).slice(0, 20);
      const hits = await reader.nearest(vector, { limit: 20, category: category ?? '', excludeSkus: [] });
      expect(hits.every((hit) => hit.payload.category === category)).toBe(true);
      found += expected.filter(({ sku }) => hits.some((hit) => hit.sku === sku)).length;
      wanted += expected.length;
      if (recall === 1) expect(hits.map(({ sku }) => sku)).toEqual(expected.map(({ sku }) => sku));
    }
    expect(found / wanted).toBeGreaterThanOrEqual(recall);
    await reader.close();
  });

  describe('with plain keys beside', () => {
    const plain = (sku: string): string => `${store.options.keyPrefix}:${sku}`;
    const stateOf = async (...skus: string[]): Promise<(string | null)[]> => Promise.all(skus.map(async (sku) => redis.hget(plain(sku), 'version')));
    let aliased: VectorAdmin;
    beforeEach(async () => {
      aliased = await openRedisVectorAdmin({ ...store.options, aliasKeys: true });
    });
    afterEach(() => aliased.close());

    it('has them equal to the live collection, and never of one that is built', async () => {
      const writer = await aliased.openWriter(await live());
      await writer.upsert([record('a', 1, [1]), record('b', 1, [1, 1])]);
      await writer.updatePayload([{ sku: 'a', version: 2, textHash: record('a', 1, [1]).textHash, payload: payload('a', { price_minor: 5 }) }]);
      await writer.upsert([record('a', 1, [2])]);
      await writer.remove([{ sku: 'b', version: 2 }]);
      expect(await redis.hgetall(plain('a'))).toEqual(await redis.hgetall(key('a')));
      expect(await stateOf('a', 'b')).toEqual(['2', null]);
      const beside = await aliased.openWriter(await aliased.createCollection(model('next')));
      await beside.upsert([record('a', 3, [1]), record('c', 1, [1])]);
      expect(await stateOf('a', 'c')).toEqual(['2', null]);
      // Only the live collection's keys are in its index.
      expect(await searchAlias('*')).toEqual([key('a')]);
    });

    it('makes them those of the new collection at a swap, and those of the old one at a swap back', async () => {
      const first = await live();
      await (await aliased.openWriter(first)).upsert([record('a', 1, [1]), record('old', 1, [1, 1])]);
      const next = await aliased.createCollection(model('next'));
      await (await aliased.openWriter(next)).upsert([record('a', 2, [1]), record('new', 2, [1])]);
      await aliased.swapTo(next);
      expect(await stateOf('a', 'old', 'new')).toEqual(['2', null, '2']);
      expect(await redis.hget(plain('a'), 'model')).toBe('next');
      await aliased.swapTo(first);
      expect(await stateOf('a', 'old', 'new')).toEqual(['1', '1', null]);
    });

    it('completes them where that was cut short or they were not wanted before, and removes them when they are not any more', async () => {
      const collection = await live();
      await (await admin.openWriter(collection)).upsert([record('a', 1, [1]), record('b', 1)]);
      expect(await stateOf('a', 'b')).toEqual([null, null]);
      await aliased.openWriter(collection);
      expect(await stateOf('a', 'b')).toEqual(['1', '1']);
      await admin.openWriter(collection);
      expect(await stateOf('a', 'b')).toEqual([null, null]);
    });
  });
});
