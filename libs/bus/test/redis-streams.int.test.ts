import { afterAll, expect, it } from '@jest/globals';
import { asEntries, closeRedis, connectRedis } from '@millrace/redis-kit';
import { testServer, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createRedisStreamsBus, defineTopic } from '../src/index.ts';
import { describeBusContract } from '../src/testing.ts';

const redis = connectRedis(testServer('redis'), { role: 'background', name: 'bus contract' });
afterAll(() => closeRedis(redis));

describeBusContract('redis-streams', { durable: true, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async (options) => {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(testServer('redis'), { role, name: 'bus test' }), claimIdleMs: 300, leaseMs: 300, retryBaseMs: 5, ...options });
  return {
    bus,
    unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
    deadLetters: async (topic, group) => asEntries(await redis.xrange(`${topic.name}:dlq:${group}`, '-', '+')).map(({ fields }) => fields[1] ?? ''),
  };
});

it('keeps a broadcast-only topic at about its maximum length', async () => {
  const topic = defineTopic(uniqueName('capped'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, maxLength: 100, keyOf: (event) => String(event.n) });
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(testServer('redis'), { role, name: 'bus test' }) });
  for (let batch = 0; batch < 10; batch += 1) await bus.publish(topic, Array.from({ length: 100 }, (_, n) => ({ type: 'tick' as const, n: batch * 100 + n })));
  const length = await redis.xlen(topic.name);
  expect(length).toBeGreaterThanOrEqual(100);
  expect(length).toBeLessThan(400);
  await redis.unlink(topic.name);
  await bus.close();
});
