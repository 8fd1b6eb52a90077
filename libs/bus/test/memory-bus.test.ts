import { createMemoryBus } from '../src/index.ts';
import { describeBusContract } from '../src/testing.ts';

describeBusContract('memory', { durable: false, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async (options) => {
  const bus = createMemoryBus({ claimIdleMs: 2_000, ...options });
  return {
    bus,
    unacknowledged: async (topic, group) => bus.lag(topic, group).messages,
    deadLetters: async (topic, group) => bus.deadLetters(topic, group).map(({ reason }) => reason),
  };
});
