import { expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler, Subscription } from '../bus.ts';
import { MAX_LANE } from '../lanes.ts';
import type { Open } from './bus-under-test.ts';
import { createTestTopic, numbersOf, publishAll, sorted, upTo } from './test-topic.ts';
import type { TestEvent } from './test-topic.ts';

/** First handlings of each key's events, in the order in which they happened. */
const byKey = (events: readonly TestEvent[]): Map<string, number[]> => {
  const orders = new Map<string, number[]>();
  for (const { key, n } of events) {
    const order = orders.get(key) ?? [];
    if (!order.includes(n)) order.push(n);
    orders.set(key, order);
  }
  return orders;
};

const expectOrdered = (events: readonly TestEvent[]): void => {
  for (const order of byKey(events).values()) expect(order).toEqual(order.toSorted((a, b) => a - b));
};

/** `ordering: 'key'` and `'partition'`. */
export function describeOrdering(open: Open): void {
  it('keeps the order per key: 1,000 messages, 16 keys, 10 subscribers', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: TestEvent[] = [];
    const handle: BatchHandler<TestEvent> = async (events) => {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(...events);
    };
    await Promise.all(Array.from({ length: 10 }, () => bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 16 }, handle)));
    await publishAll(bus, topic, 1_000);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(numbersOf(seen))).toEqual(upTo(1_000));
    expectOrdered(seen);
  });

  it('holds back the later events of a key while one fails, and no other key\'s', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const done: TestEvent[] = [];
    let failures = 3;
    await publishAll(bus, topic, 48);
    await bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 20 }, async (events) => {
      if (events.some(({ n }) => n === 5) && failures-- > 0) throw new Error('not yet');
      done.push(...events);
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(byKey(done).get('k5')).toEqual([5, 21, 37]);
    expect(sorted(numbersOf(done))).toEqual(upTo(48));
    expectOrdered(done);
  });

  it('holds back every later event of a partition while one fails, where the order is of the partition', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const done: TestEvent[] = [];
    let failures = 3;
    await publishAll(bus, topic, 48);
    await bus.subscribe(topic, { group: 'g', ordering: 'partition', batchSize: 20 }, async (events) => {
      if (events.some(({ n }) => n === 5) && failures-- > 0) throw new Error('not yet');
      done.push(...events);
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(numbersOf(done)).toEqual(upTo(48));
  });

  it('parks an event that fails for good, then goes on with its key', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const done: TestEvent[] = [];
    await publishAll(bus, topic, 40);
    await bus.subscribe(topic, { group: 'g', ordering: 'key' }, async (events) => {
      if (events.some(({ n }) => n === 3)) throw new Error('never');
      done.push(...events);
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(numbersOf(done))).toEqual(upTo(40).filter((n) => n !== 3));
    expect(byKey(done).get('k3')).toEqual([19, 35]);
    expect(await deadLetters(topic, 'g')).toEqual(['Error: never']);
  });

  it('parks a lane whole when too many events wait behind one that fails', async () => {
    const { bus, unacknowledged, deadLetters } = await open({ retryBaseMs: 30_000, leaseMs: 10_000 });
    const topic = createTestTopic();
    const done: number[] = [];
    const stuck = Array.from({ length: MAX_LANE + 1 }, (_, n) => ({ type: 'created' as const, key: 'stuck', n }));
    await bus.publish(topic, [...stuck, { type: 'created', key: 'free', n: -1 }]);
    await bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 1 }, async (events) => {
      if (events.some(({ key }) => key === 'stuck')) throw new Error('never');
      done.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0, { timeoutMs: 60_000 });
    expect(done).toEqual([-1]);
    const reasons = await deadLetters(topic, 'g');
    expect(reasons).toHaveLength(MAX_LANE + 1);
    expect(new Set(reasons).size).toBe(1);
    expect(reasons[0]).toMatch(/more than 1000 entries of one key .* Error: never/);
  });

  it('keeps the order over a handover from one subscriber to another', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: TestEvent[] = [];
    let failures = 4;
    const handle: BatchHandler<TestEvent> = async (events) => {
      if (events.some(({ n }) => n % 100 === 7) && failures-- > 0) throw new Error('not yet');
      seen.push(...events);
    };
    const subscribe = (): Promise<Subscription> => bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 10 }, handle);
    let current = await subscribe();
    const publishing = publishAll(bus, topic, 1_000);
    for (let handover = 1; handover <= 5; handover += 1) {
      await eventually(() => seen.length >= handover * 50);
      const next = await subscribe();
      await current.close();
      current = next;
    }
    await publishing;
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(numbersOf(seen))).toEqual(upTo(1_000));
    expectOrdered(seen);
  });
}
