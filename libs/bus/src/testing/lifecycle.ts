import { expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler, Subscription } from '../bus.ts';
import type { Open, Scaled } from './bus-under-test.ts';
import { createTestTopic, numbersOf, publishAll, upTo } from './test-topic.ts';
import type { TestEvent } from './test-topic.ts';

/** Opening and closing strand nothing. */
export function describeLifecycle(open: Open, scaled: Scaled, isDurable: boolean): void {
  it('loses nothing and strands nothing over 20 close-and-reopens', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    const count = scaled(10_000, 2_000);
    const publishing = publishAll(bus, topic, count);
    for (let round = 0; round < 20; round += 1) {
      const before = seen.length;
      const subscription = await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => void seen.push(...numbersOf(events)));
      await eventually(() => seen.length > before || seen.length === count);
      await subscription.close();
    }
    await publishing;
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(count));
  });

  it('closes 10 subscribers at once, finishing the batches in hand', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let open10 = true;
    const subscriptions: Subscription[] = await Promise.all(
      Array.from({ length: 10 }, () =>
        bus.subscribe(topic, { group: 'g', batchSize: 5 }, async (events) => {
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(...numbersOf(events));
          expect(open10).toBe(true);
        }),
      ),
    );
    await publishAll(bus, topic, 300);
    await eventually(() => seen.length > 50);
    await Promise.all(subscriptions.map((subscription) => subscription.close()));
    open10 = false;
    const handled = seen.length;
    await eventually(async () => (await unacknowledged(topic, 'g')) === 300 - handled);
    expect(seen).toHaveLength(handled);
  });

  it('ends a subscription that is waiting, at once', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const subscription = await bus.subscribe(topic, { group: 'g', blockMs: 60_000 }, async () => undefined);
    const broadcast = await bus.subscribe(topic, { mode: 'broadcast', blockMs: 60_000 }, async () => undefined);
    await Promise.all([subscription.close(), broadcast.close(), subscription.close()]);
    await expect(bus.close()).resolves.toBeUndefined();
  });

  it('abort ends a subscription, as closing it does', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const stopping = new AbortController();
    const seen: number[] = [];
    const subscription = await bus.subscribe(topic, { group: 'g', signal: stopping.signal }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 10);
    await eventually(() => seen.length === 10);
    stopping.abort();
    await subscription.close();
    await publishAll(bus, topic, 10, 10);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 10);
    expect(seen).toHaveLength(10);
  });

  it('closing the publisher loses nothing that it has confirmed', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 500);
    await bus.close();
    const count = isDurable ? (await open()).unacknowledged : unacknowledged;
    await eventually(async () => (await count(topic, 'g')) === 500);
  });

  if (isDurable) it('keeps events for a group across restarts', async () => {
    const first = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    const handle: BatchHandler<TestEvent> = async (events) => void seen.push(...numbersOf(events));
    await first.bus.subscribe(topic, { group: 'g' }, handle);
    await publishAll(first.bus, topic, 10);
    await eventually(() => seen.length === 10);
    await first.bus.close();

    const second = await open();
    await publishAll(second.bus, topic, 10, 10);
    await second.bus.subscribe(topic, { group: 'g' }, handle);
    await eventually(() => seen.length === 20);
    expect(seen).toEqual(upTo(20));
  });
}
