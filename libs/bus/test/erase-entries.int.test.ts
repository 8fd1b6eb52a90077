import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { testServer } from '@millrace/testing';
import { createRedisStreamsBus, eraseDeadLetters, eraseEntries, keysOf, readLayout } from '../src/index.ts';
import type { RedisStreamsBus } from '../src/index.ts';
import { createTestTopic } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';

describe.each([
  { name: 'one Redis', url: testServer('redis') },
  { name: 'a cluster', url: testServer('redis-cluster') },
])('erasing entries on $name', ({ url }) => {
  let redis: Redis;
  let bus: RedisStreamsBus;
  let topic: TestTopic;
  let keys: Keys;
  beforeEach(() => {
    redis = connectRedis(url, { role: 'background', name: 'bus test' });
    keys = keysFor(url);
    topic = createTestTopic();
    bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }), keys, partitions: { [topic.name]: 3 } });
  });
  afterEach(async () => {
    await bus.close();
    await closeRedis(redis);
  });
  /** Every third event is theirs: 600 in each group of keys, so that there is more than a page. */
  const isTheirs = (fields: ReadonlyMap<string, string>): boolean => Number(fields.get('key')) % 3 === 0;
  const COUNT = 1_800;
  const publish = () => bus.publish(topic, Array.from({ length: COUNT }, (_, n) => ({ type: 'created' as const, key: String(n), n: n + 1 })));
  const streams = async () => keysOf(keys, topic.name, (await readLayout(redis, keys, topic.name)).current);
  const entries = async (): Promise<number> => (await Promise.all((await streams()).map(({ stream }) => redis.xlen(stream)))).reduce((sum, one) => sum + one, 0);
  const readAll = async (group: string) => {
    for (const { stream } of await streams()) {
      await redis.xgroup('CREATE', stream, group, '0');
      await redis.xreadgroup('GROUP', group, 'c', 'COUNT', COUNT, 'STREAMS', stream, '>');
    }
  };
  const acknowledge = async (group: string) => {
    for (const { stream } of await streams()) await redis.xack(stream, group, ...(await redis.xrange(stream, '-', '+')).map(([id]) => id));
  };

  it('removes what is theirs where no group is behind, in all partitions and pages, and nothing else', async () => {
    await publish();
    await readAll('done');
    await acknowledge('done');
    expect(await eraseEntries(redis, keys, { topic, isTheirs, isForced: false })).toEqual({ erased: COUNT / 3, due: 0 });
    expect(await entries()).toBe(COUNT - COUNT / 3);
    expect(await eraseEntries(redis, keys, { topic, isTheirs, isForced: false })).toEqual({ erased: 0, due: 0 });
  });
  it('leaves what a group has not read or not acknowledged, and where it is forced acknowledges it for all, so that nothing counts as lost', async () => {
    await publish();
    await readAll('busy');
    await readAll('late');
    await acknowledge('late');
    expect(await eraseEntries(redis, keys, { topic, isTheirs, isForced: false })).toEqual({ erased: 0, due: COUNT / 3 });
    expect(await eraseEntries(redis, keys, { topic, isTheirs, isForced: true })).toEqual({ erased: COUNT / 3, due: 0 });
    let pending = 0;
    for (const { stream } of await streams()) pending += Number((await redis.xpending(stream, 'busy'))[0]);
    expect([pending, await entries()]).toEqual([COUNT - COUNT / 3, COUNT - COUNT / 3]);
  });
  it('removes dead letters of known groups and of those that are there', async () => {
    await publish();
    await readAll('there');
    for (const of of await streams())
      for (const group of ['there', 'known']) for (const key of ['3', '4']) await redis.xadd(of.deadLetters(group), '*', 'reason', 'r', 'key', key);
    expect(await eraseDeadLetters(redis, keys, { topic, isTheirs, groups: ['known'] })).toBe(6);
    expect(await eraseDeadLetters(redis, keys, { topic, isTheirs: () => true, groups: ['known'] })).toBe(6);
  });
});
