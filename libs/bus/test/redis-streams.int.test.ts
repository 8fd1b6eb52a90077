import { afterAll } from '@jest/globals';
import { asEntries, closeRedis, connectRedis } from '@millrace/redis-kit';
import { testServer } from '@millrace/testing';
import { createRedisStreamsBus } from '../src/index.ts';
import { describeBusContract } from '../src/testing.ts';

const redis = connectRedis(testServer('redis'), { role: 'background', name: 'bus contract' });
afterAll(() => closeRedis(redis));

describeBusContract('redis-streams', { durable: true, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async () => {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(testServer('redis'), { role, name: 'bus test' }), claimIdleMs: 300, retryBaseMs: 5 });
  return {
    bus,
    unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
    deadLetters: async (topic, group) => asEntries(await redis.xrange(`${topic.name}:dlq:${group}`, '-', '+')).map(({ fields }) => fields[1] ?? ''),
  };
});
