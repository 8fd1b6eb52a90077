import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asEntries, closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { describeWith, serverVariables, testServer, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createRedisStreamsBus, defineTopic } from '../src/index.ts';
import { describeBusContract, describeManagedBusContract } from '../src/testing.ts';

const scale = process.env['TEST_SCALE'] === 'full' ? 'full' : 'small';

/** The whole contract on one server or cluster. */
function describeOn(name: string, url: string): void {
  const keys = createKeys({ cluster: url.startsWith('redis-cluster:') });
  let redis: Redis;
  beforeAll(() => void (redis = connectRedis(url, { role: 'background', name: 'bus contract' })));
  afterAll(() => closeRedis(redis));
  describeBusContract(name, { durable: true, scale }, async (options) => {
    const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }), keys, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, ...options });
    return {
      bus,
      unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
      deadLetters: async (topic, group) => asEntries(await redis.xrange(keys.topic(topic.name).deadLetters(group), '-', '+')).map(({ fields }) => fields[1] ?? ''),
    };
  });
  // A cluster tells its clients the addresses of its servers: no tunnel leads there.
  describeManagedBusContract(
    name,
    async (at = url) => createRedisStreamsBus({ connect: (role) => connectRedis(at, { role, name: 'bus test' }), keys, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5 }),
    url.startsWith('redis-cluster:') ? {} : { server: url },
  );
}

describe('one server', () => {
  describeOn('redis-streams', testServer('redis'));
});
describeWith('redis-cluster', 'a cluster of three', () => {
  describeOn('redis-streams on a cluster', process.env[serverVariables['redis-cluster']] ?? '');
});
describeWith('redis-8', 'Redis 8', () => {
  describeOn('redis-streams on Redis 8', process.env[serverVariables['redis-8']] ?? '');
});

it('keeps a broadcast-only topic at about its maximum length', async () => {
  const url = testServer('redis');
  const redis = connectRedis(url, { role: 'background', name: 'bus test' });
  const topic = defineTopic(uniqueName('capped'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, maxLength: 100, keyOf: (event) => String(event.n) });
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }) });
  for (let batch = 0; batch < 10; batch += 1) await bus.publish(topic, Array.from({ length: 100 }, (_, n) => ({ type: 'tick' as const, n: batch * 100 + n })));
  const length = await redis.xlen(topic.name);
  expect(length).toBeGreaterThanOrEqual(100);
  expect(length).toBeLessThan(400);
  await redis.unlink(topic.name);
  await bus.close();
  await closeRedis(redis);
});
