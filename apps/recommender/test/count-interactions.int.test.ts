import { afterAll, describe, expect, it } from '@jest/globals';
import { NO_CONTEXT } from '@millrace/ranking';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Keys } from '@millrace/redis-kit';
import { testServer, uniqueName } from '@millrace/testing';
import { FIRST_GENERATION, partitionKeys } from '../src/count-keys.ts';
import { countInteractions } from '../src/count-interactions.ts';
import { createCountMemory } from '../src/count-memory.ts';
import { createCountedPartitions } from '../src/counted-partitions.ts';
import { createCountReader } from '../src/read-counts.ts';
import { Registry } from 'prom-client';
import { did } from './kit.ts';

const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
afterAll(() => closeRedis(redis));

const delivery = (partition = 0) => ({ signal: new AbortController().signal, partition, fencingToken: 1 });

/** Keys of its own for each test. */
function open() {
  const prefix = uniqueName('recs');
  const keys: Keys = { ...createKeys(), counts: (partition) => `${prefix}:{${partition}}`, countPartitions: `${prefix}:partitions` };
  const partitions = createCountedPartitions(redis, keys);
  const count = countInteractions({ redis, keys, ttlSeconds: 3_600, addPartition: (partition) => partitions.add(partition) });
  const reader = createCountReader({ redis, live: () => partitions.live() });
  const everything = async (partition = 0): Promise<Record<string, unknown>> => {
    const names = (await redis.keys(`${keys.counts(partition)}:*`)).toSorted();
    const read = async (name: string): Promise<unknown> => {
      const type = await redis.type(name);
      if (type === 'string') return redis.get(name);
      return type === 'hash' ? redis.hgetall(name) : redis.zrange(name, '0', '-1', 'WITHSCORES');
    };
    return Object.fromEntries(await Promise.all(names.map(async (name): Promise<[string, unknown]> => [name.slice(keys.counts(partition).length), await read(name)])));
  };
  return { keys, count, reader, everything };
}

describe('counting interactions', () => {
  const basket = () => [did('u', 'purchase', 'a', { category: 'Audio' }), did('u', 'purchase', 'b'), did('v', 'view', 'a'), did('v', 'view', 'c')];

  it('counts each event once when a batch comes again, whole or in part, or with later ones', async () => {
    const { count, everything } = open();
    const events = basket();
    await count(events, delivery());
    const once = await everything();
    await count(events, delivery());
    await count(events.slice(1, 3), delivery());
    expect(await everything()).toEqual(once);
    const more = did('u', 'purchase', 'c');
    await count([...events.slice(2), more], delivery());
    const { everything: other, count: inOne } = open();
    await inOne([...events, more], delivery());
    expect(await everything()).toEqual(await other());
  });
  it('makes the same counts of one batch and of singles', async () => {
    const [whole, singly] = [open(), open()];
    const events = basket();
    await whole.count(events, delivery());
    for (const event of events) await singly.count([event], delivery());
    expect(await singly.everything()).toEqual(await whole.everything());
  });
  it('refuses a consumer that stood still while another counted', async () => {
    const { keys, count, everything } = open();
    const events = basket();
    const slow = countInteractions({
      redis, keys, ttlSeconds: 3_600, addPartition: async () => undefined,
    });
    await Promise.allSettled([slow(events, delivery()), count(events, delivery()), slow(events, delivery())]);
    await count(events, delivery());
    const { everything: other, count: alone } = open();
    await alone(events, delivery());
    expect(await everything()).toEqual(await other());
  });
  it('calls every failure of Redis unavailable, so that no event is parked and none overtakes', async () => {
    const { keys, count } = open();
    await redis.set(partitionKeys(keys, 0).of(FIRST_GENERATION).counter('baskets'), 'of another kind');
    await expect(count(basket(), delivery())).rejects.toMatchObject({ code: 'unavailable' });
  });
  it('adds up the counts of all partitions, and the history of a user who moved', async () => {
    const { count, reader } = open();
    await count([did('u', 'purchase', 'a'), did('u', 'purchase', 'b')], delivery(0));
    await count([did('u', 'purchase', 'a'), did('u', 'purchase', 'b'), did('w', 'purchase', 'a'), did('w', 'purchase', 'b')], delivery(3));
    const history = await reader.history(['u']);
    expect(history.bought.map(({ sku, baskets }) => [sku, baskets]).toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual([['a', 2], ['b', 2]]);
    const counts = await reader.forUser({ history, recent: NO_CONTEXT, category: undefined });
    expect(counts.neighbours('co_buy', 'a')).toEqual([{ sku: 'b', count: 3 }]);
    expect([counts.counter('baskets', 'b'), counts.counter('buyers', 'a')]).toEqual([3, 3]);
    // Of the same millisecond or not.
    expect(counts.weight('trending', 'a')).toBeCloseTo(1, 6);
  });
  it('begins no user, item or list while Redis is nearly full, and counts on what is known', async () => {
    const { keys, count, reader, everything } = open();
    await count([did('known', 'purchase', 'a', { category: 'Audio' })], delivery());
    const names = Object.keys(await everything()).toSorted();
    const full = countInteractions({ redis, keys, ttlSeconds: 3_600, addPartition: async () => undefined, hasRoom: async () => false });
    await full([did('known', 'purchase', 'made-up', { category: 'Made up' }), did('stranger', 'purchase', 'a'), did('stranger', 'view', 'made-up')], delivery());
    expect(Object.keys(await everything()).toSorted()).toEqual(names);
    const counts = await reader.forUser({ history: await reader.history(['known']), recent: NO_CONTEXT, category: undefined });
    expect([counts.counter('baskets', 'a'), counts.counter('baskets', 'made-up'), counts.top('trending', null)]).toEqual([2, 0, ['a']]);
    expect((await reader.history(['stranger'])).bought).toEqual([]);
  });
  it('keeps bounded lists, and says what a user and an item cost', async () => {
    const { keys, count } = open();
    for (let batch = 0; batch < 10; batch += 1) await count(Array.from({ length: 40 }, (_none, at) => [did(`u${batch}-${at}`, 'purchase', 'hub'), did(`u${batch}-${at}`, 'purchase', `n${batch}-${at}`)]).flat(), delivery());
    expect(await redis.zcard(partitionKeys(keys, 0).of(FIRST_GENERATION).neighbours('co_buy', 'hub'))).toBeLessThanOrEqual(128);
    const memory = createCountMemory({ redis, metrics: new Registry() });
    expect(await memory.measure([partitionKeys(keys, 7).of(FIRST_GENERATION)])).toEqual({ bytesPerUser: null, bytesPerItem: null, users: 0, items: 0 });
    const { bytesPerUser, bytesPerItem, users, items } = await memory.measure([partitionKeys(keys, 0).of(FIRST_GENERATION)]);
    expect([users, items]).toEqual([200, 200]);
    expect(bytesPerUser).toBeGreaterThan(50);
    expect(bytesPerUser).toBeLessThan(1_000);
    expect(bytesPerItem).toBeLessThan(4_096);
  });
});
