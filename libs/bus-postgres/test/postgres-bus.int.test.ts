import { describe } from '@jest/globals';
import { describeBusContract, describeManagedBusContract } from '@millrace/bus/testing';
import { testTopics } from './postgres-kit.ts';

const { open, url: server } = testTopics();

describe('one server', () => {
  describeBusContract('postgres', { durable: true, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async (options) => {
    const bus = open(options);
    return {
      bus,
      unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
      deadLetters: async (topic, group) => (await bus.admin([topic]).listDeadLetters({ topic: topic.name, group }, { limit: 2_000 })).items.map(({ reason }) => reason),
    };
  });
  describeManagedBusContract('postgres', async (url = server) => open({ url }), { server });
});
