import { describeBusContract, describeManagedBusContract } from '@millrace/bus/testing';
import { describeWith, testServer } from '@millrace/testing';
import { createNatsBus } from '../src/index.ts';

describeWith('nats', 'one server', () => {
  describeBusContract('nats-jetstream', { durable: true, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async (options) => {
    const bus = createNatsBus({ url: testServer('nats'), claimIdleMs: 2_000, leaseMs: 300, retryBaseMs: 5, ...options });
    return {
      bus,
      unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
      deadLetters: async (topic, group) => (await bus.admin([topic]).listDeadLetters({ topic: topic.name, group }, { limit: 2_000 })).items.map(({ reason }) => reason),
    };
  });
  describeManagedBusContract('nats-jetstream', async (url = testServer('nats')) => createNatsBus({ url, claimIdleMs: 2_000, leaseMs: 300, retryBaseMs: 5 }), { server: testServer('nats'), sparesBootstraps: false });
});
