import { afterEach, describe } from '@jest/globals';
import type { BusFeatures, BusUnderTest, ManagedFeatures, Open, OpenOptions, Scaled } from './testing/bus-under-test.ts';
import { describeDelivery } from './testing/delivery.ts';
import { describeFailures } from './testing/failures.ts';
import { describeLifecycle } from './testing/lifecycle.ts';
import { describeOrdering } from './testing/ordering.ts';
import { describeRepeating } from './testing/repeating.ts';
import { describeOwnership } from './testing/ownership.ts';
import type { ManagedBus } from './managed-bus.ts';

export type { BusFeatures, BusUnderTest, ManagedFeatures, OpenOptions } from './testing/bus-under-test.ts';
export { duplicate, randomFail, shuffle } from './testing/middleware.ts';
export { createTestTopic, numbered, numbersOf, publishAll, sorted, upTo } from './testing/test-topic.ts';
export type { TestEvent, TestTopic } from './testing/test-topic.ts';

/** The guarantees of bus.ts, run on each adapter. What needs a dying process or a failing broker is in the adapter's own tests. */
export function describeBusContract(name: string, features: BusFeatures, createBus: (options: OpenOptions) => Promise<BusUnderTest>): void {
  describe(`${name} satisfies the bus contract`, () => {
    const opened: BusUnderTest[] = [];
    const open: Open = async (options = {}) => {
      const under = await createBus(options);
      opened.push(under);
      return under;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map(({ bus }) => bus.close()));
    });

    const scaled: Scaled = (full, small) => (features.scale === 'full' ? full : small);
    describeDelivery(open, scaled);
    describeFailures(open);
    describeOrdering(open);
    describeRepeating(open, features.durable);
    describeLifecycle(open, scaled, features.durable);
  });
}

/** What owners of topics and operators may rely on (managed-bus.ts), run on each engine. With waits as short as `describeBusContract` asks for. What an engine does not declare is skipped by name. */
export function describeManagedBusContract(name: string, createBus: (url?: string) => Promise<ManagedBus>, features: ManagedFeatures = {}): void {
  describe(`${name} satisfies the contract of owners and operators`, () => {
    const opened: ManagedBus[] = [];
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((bus) => bus.close()));
    });
    describeOwnership(async (url) => {
      const bus = await createBus(url);
      opened.push(bus);
      return bus;
    }, features);
  });
}
export { describeSurvival } from './testing/surviving.ts';
export type { MortalServer } from './testing/surviving.ts';
