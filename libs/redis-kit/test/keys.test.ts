import { describe, expect, it } from '@jest/globals';
import { compareStreamIds, createKeys } from '../src/index.ts';
import type { TopicKeys } from '../src/index.ts';

/** Every key of a topic, whichever there are: those of a group for the group "writer". */
const allKeys = (keys: TopicKeys): string[] => Object.values<string | ((group: string) => string)>({ ...keys }).map((key) => (typeof key === 'string' ? key : key('writer')));

describe('createKeys', () => {
  it('names a single instance\'s keys exactly as documented', () => {
    const keys = createKeys();
    expect(keys.topic('product:updates')).toMatchObject({ stream: 'product:updates', epoch: 'product:updates:epoch' });
    expect(keys.topic('product:updates').deadLetters('es-sync-worker')).toBe('product:updates:dlq:es-sync-worker');
    expect(keys.user('7')).toEqual({
      recentItems: 'user:7:recent_items', recentCategories: 'user:7:recent_categories', lastActive: 'user:7:last_active', recentPurchases: 'user:7:recent_purchases', mergedInto: 'user:7:merged_into',
    });
    expect(keys.syncTracker('products')).toBe('sync:products');
  });

  it('names subscribers as documented, and on Cluster by buckets that hold a copy of the pointer', () => {
    const single = createKeys().subscribers(12);
    expect([single.recommendation('84912345678'), single.profile('a/b+c='), single.body('x'), single.service('DATA'), single.risk('LOW'), single.cluster('3'), single.stats]).toEqual([
      'ut360:12:rec:84912345678', 'ut360:12:profile:a/b+c=', 'ut360:12:body:x', 'ut360:12:idx:service:DATA', 'ut360:12:idx:risk:LOW', 'ut360:12:idx:cluster:3', 'ut360:12:meta:stats',
    ]);
    expect([createKeys().subscriberPointers, createKeys().subscribers().recommendation('x')]).toEqual([['ut360:current'], 'ut360:rec:x']);
    const cluster = createKeys({ cluster: true });
    const bucket = cluster.subscriberBucket('84912345678');
    expect(cluster.subscribers(12).body('84912345678')).toBe(`ut360:12:{b${bucket}}:body:84912345678`);
    expect(cluster.subscriberPointer('84912345678')).toBe(`ut360:{b${bucket}}:current`);
    expect(cluster.subscriberPointers).toHaveLength(1_024);
  });

  it('keeps an answer of the cache, its lock and the purge clock in one slot of a cluster, in one of 16 parts', () => {
    const single = createKeys();
    expect([single.cache('a').entry('a'), single.cache('a').lock('a'), single.cacheParts.map(({ clock }) => clock)]).toEqual(['cache:entry:a', 'cache:lock:a', ['cache:clock']]);
    const keys = createKeys({ cluster: true });
    const parts = Array.from({ length: 500 }, (_none, n) => keys.cache(`id-${n}`));
    expect(new Set(parts.map(({ clock }) => clock))).toEqual(new Set(keys.cacheParts.map(({ clock }) => clock)));
    for (const part of parts) expect(new Set([part.clock, part.entry('x'), part.lock('x')].map((key) => /\{(c\d+)\}/.exec(key)?.[1])).size).toBe(1);
  });

  it('gives every key of a topic a name of its own', () => {
    const keys = allKeys(createKeys().topic('interactions'));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it.each([
    { where: 'one partition on a single instance', cluster: false, partition: 0, partitions: 1, stream: 'orders' },
    { where: 'the first of several partitions', cluster: false, partition: 0, partitions: 4, stream: 'orders:{orders:0}' },
    { where: 'a later partition', cluster: false, partition: 3, partitions: 4, stream: 'orders:{orders:3}' },
    { where: 'a later partition whose number of partitions is not given', cluster: false, partition: 3, partitions: undefined, stream: 'orders:{orders:3}' },
    { where: 'one partition on Cluster', cluster: true, partition: 0, partitions: 1, stream: 'orders:{orders:0}' },
  ])('names $where $stream', ({ cluster, partition, partitions, stream }) => {
    expect(createKeys({ cluster }).topic('orders', partition, partitions).stream).toBe(stream);
  });

  it('keeps a stream and its side keys under one hash tag on Cluster', () => {
    const keys = createKeys({ cluster: true });
    const topic = keys.topic('interactions', 3);
    for (const key of allKeys(topic)) expect(key.startsWith('interactions:{interactions:3}')).toBe(true);
    expect(keys.topic('interactions').stream).toBe('interactions:{interactions:0}');
    expect(keys.user('7').lastActive).toBe('user:{7}:last_active');
  });
});

describe('keys of the point of sale', () => {
  it.each([false, true])('have the names that others know, cluster: %s', (cluster) => {
    const keys = createKeys({ cluster });
    expect([keys.posToken('client', 'ab12'), keys.posCache('products', 'cd34'), keys.posCacheEpoch('products'), keys.posBudget('shop'), keys.posBudgetOf('shop', 'ef56')]).toEqual(['kv_token:client:ab12', 'api_cache:kiotviet:products:cd34', 'api_cache:kiotviet:products:epoch', 'kv_budget:shop', '{kv_budget:shop}:ef56']);
  });
});

describe('keys of a user on Cluster', () => {
  it.each(['7', '}', '}x', '{', '{}', 'a}b', '}}'])('have one hash tag that is not empty: %s', (id) => {
    const tags = Object.values<string>({ ...createKeys({ cluster: true }).user(id) }).map((key) => /\{([^}]*)\}/.exec(key)?.[1]);
    expect(new Set(tags).size).toBe(1);
    expect(tags[0]).not.toBe('');
  });
});

describe('keys of rate limits', () => {
  it('keeps all limits of a key or workspace on one node, and names quotas as they are agreed', () => {
    const { rateLimits } = createKeys({ cluster: true });
    expect([rateLimits.refill('key_1', 'reads:key_1'), rateLimits.refill('}odd', 'user:{x}')]).toEqual(['rate_limit:{key_1}:reads:key_1', 'rate_limit:{ }odd}:user:{x}']);
    expect([rateLimits.chat('7'), rateLimits.mcp('key_1:desk')]).toEqual(['rate_limit:chat:7', 'rate_limit:mcp:key_1:desk']);
  });
});

describe('compareStreamIds', () => {
  it.each([
    { a: '1-2', b: '1-10', sign: -1 },
    { a: '10-0', b: '9-99', sign: 1 },
    { a: '5-5', b: '5-5', sign: 0 },
    { a: '0-0', b: '1-0', sign: -1 },
  ])('orders $a and $b by number, not by text', ({ a, b, sign }) => {
    expect(Math.sign(compareStreamIds(a, b))).toBe(sign);
  });
});
