import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler, EventBus, Subscription } from './bus.ts';
import { SinkUnavailableError } from './errors.ts';
import { createTestTopic, numbered, numbersOf, publishAll, sorted, upTo } from './testing/test-topic.ts';
import type { TestEvent } from './testing/test-topic.ts';
import type { Topic } from './topic.ts';

export { duplicate, shuffle } from './testing/middleware.ts';
export { createTestTopic, numbered, numbersOf, publishAll, sorted, upTo } from './testing/test-topic.ts';
export type { TestEvent, TestTopic } from './testing/test-topic.ts';

export interface BusFeatures {
  /** Events outlive the bus: another bus on the same broker finds them. */
  readonly durable: boolean;
  /** `full` for the suite's own sizes, smaller ones else. */
  readonly scale: 'small' | 'full';
}

/** A bus and what a test has to see of it. Short waits, please: claimIdleMs about 300, retryBaseMs about 5, 5 deliveries. */
export interface BusUnderTest {
  readonly bus: EventBus;
  readonly unacknowledged: (topic: Topic, group: string) => Promise<number>;
  /** Reasons of the group's dead letters, oldest first. */
  readonly deadLetters: (topic: Topic, group: string) => Promise<readonly string[]>;
}

/** The guarantees of bus.ts, run on each adapter. Titles are issue 4's names. */
export function describeBusContract(name: string, features: BusFeatures, createBus: () => Promise<BusUnderTest>): void {
  describe(`${name} satisfies the bus contract`, () => {
    const opened: BusUnderTest[] = [];
    const open = async (): Promise<BusUnderTest> => {
      const under = await createBus();
      opened.push(under);
      return under;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map(({ bus }) => bus.close()));
    });

    const scaled: Scaled = (full, small) => (features.scale === 'full' ? full : small);
    describeDelivery(open, scaled);
    describeFailures(open);
    describeLifecycle(open, scaled, features.durable);
  });
}

type Open = () => Promise<BusUnderTest>;
type Scaled = (full: number, small: number) => number;

function describeDelivery(open: Open, scaled: Scaled): void {
  it('delivers equal payload and metadata', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const seen: TestEvent[] = [];
    const meta = { id: 'event-1', timestamp: '2026-11-21T10:00:00.123456Z', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
    await bus.publish(topic, [{ type: 'removed', key: 'đường', n: 7, why: null, meta }, { type: 'created', key: 'x', n: 8 }]);
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events));
    await eventually(() => seen.length === 2);
    expect(seen[0]).toEqual({ type: 'removed', key: 'đường', n: 7, why: null, meta: { ...meta, schema: 1, streamId: expect.any(String) } });
    expect(seen[1]?.meta).toEqual({ id: expect.any(String), timestamp: expect.any(String), schema: 1, streamId: expect.any(String) });
  });

  it('delivers each event to one of many concurrent subscribers of a group', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const count = scaled(5_000, 1_000);
    const seen: number[] = [];
    await Promise.all(Array.from({ length: scaled(50, 10) }, () => bus.subscribe(topic, { group: 'g', batchSize: 16 }, async (events) => void seen.push(...numbersOf(events)))));
    await publishAll(bus, topic, count);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(count));
  });

  it('keeps 20 topics apart at once', async () => {
    const { bus } = await open();
    const topics = Array.from({ length: 20 }, createTestTopic);
    const seen = topics.map((): number[] => []);
    await Promise.all(topics.map((topic, index) => bus.subscribe(topic, { group: 'g' }, async (events) => void seen[index]?.push(...numbersOf(events)))));
    await Promise.all(topics.map((topic, index) => bus.publish(topic, numbered(10, index * 100))));
    await eventually(() => seen.every((numbers) => numbers.length === 10));
    seen.forEach((numbers, index) => expect(numbers).toEqual(upTo(10).map((n) => n + index * 100)));
  });

  it('keeps the order of publishing for a single consumer', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g', batchSize: 7 }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 1_000);
    await eventually(() => seen.length === 1_000);
    expect(seen).toEqual(upTo(1_000));
  });

  it('lets a new group read from the start, and gives two groups each all', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const seen: Record<'a' | 'b', number[]> = { a: [], b: [] };
    await bus.subscribe(topic, { group: 'a' }, async (events) => void seen.a.push(...numbersOf(events)));
    await publishAll(bus, topic, 100);
    await eventually(() => seen.a.length === 100);
    await bus.subscribe(topic, { group: 'b' }, async (events) => void seen.b.push(...numbersOf(events)));
    await eventually(() => seen.b.length === 100);
    expect(seen.b).toEqual(seen.a);
  });

  it('awaits onGroupCreated before the first event of a new group, and not again', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const log: string[] = [];
    const options = { group: 'g', onGroupCreated: async () => void log.push('export') };
    const handle: BatchHandler<TestEvent> = async (events) => void log.push(...events.map(({ n }) => `event ${n}`));
    await publishAll(bus, topic, 1);
    const first = await bus.subscribe(topic, options, handle);
    await eventually(() => log.length === 2);
    await first.close();
    await bus.subscribe(topic, options, handle);
    await publishAll(bus, topic, 1, 1);
    await eventually(() => log.length === 3);
    expect(log).toEqual(['export', 'event 0', 'event 1']);
  });

  it('broadcast reaches every instance from now on, each told of a gap first', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 5);
    const logs: string[][] = [[], []];
    for (const log of logs) {
      await bus.subscribe(topic, { mode: 'broadcast', onGap: async () => void log.push('gap') }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    }
    await publishAll(bus, topic, 2, 5);
    await eventually(() => logs.every((log) => log.length >= 3));
    for (const log of logs) expect(log).toEqual(['gap', 'event 5', 'event 6']);
  });
}

function describeFailures(open: Open): void {
  it('delivers an event again when its handler rejects', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let rejections = 2;
    await publishAll(bus, topic, 10);
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      if (rejections-- > 0) throw new Error('not yet');
      seen.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(seen)).toEqual(upTo(10));
  });

  it('continues after errors: poison is parked after five handlings, its neighbours are done', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const handled: number[] = [];
    const attempts: number[] = [];
    await publishAll(bus, topic, 30);
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => {
      if (events.some(({ n }) => n === 13)) {
        if (events.length === 1) attempts.push(13);
        throw new Error('number 13 cannot be handled');
      }
      handled.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(handled)).toEqual(upTo(30).filter((n) => n !== 13));
    expect(attempts).toHaveLength(4); // the batch was the first handling
    expect(await deadLetters(topic, 'g')).toEqual(['Error: number 13 cannot be handled']);
  });

  it('waits for a sink that is unavailable, however long, and parks nothing', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let calls = 0;
    await publishAll(bus, topic, 5);
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      calls += 1;
      if (calls <= 8) throw calls % 2 ? new SinkUnavailableError('down') : new Error('query failed', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) });
      seen.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(seen).toEqual(upTo(5));
    expect(await deadLetters(topic, 'g')).toEqual([]);
  });

  it('keeps a slow handler\'s entries from the other consumers', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const release = Promise.withResolvers<undefined>();
    const seen: number[] = [];
    let isSlow = true;
    const handle: BatchHandler<TestEvent> = async (events) => {
      seen.push(...numbersOf(events));
      if (!isSlow) return;
      isSlow = false;
      await release.promise;
    };
    await publishAll(bus, topic, 3);
    await bus.subscribe(topic, { group: 'g' }, handle);
    await eventually(() => seen.length === 3);
    // Long enough for several looks of the other consumer: it handles what is published, and takes nothing over.
    const second = await bus.subscribe(topic, { group: 'g' }, handle);
    for (let n = 3; n < 20; n += 1) {
      await publishAll(bus, topic, 1, n);
      await eventually(() => seen.includes(n), { everyMs: 50 });
    }
    expect(seen).toHaveLength(20);
    release.resolve(undefined);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    await second.close();
    expect(seen).toHaveLength(20);
  });
}

function describeLifecycle(open: Open, scaled: Scaled, isDurable: boolean): void {
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
    expect(await unacknowledged(topic, 'g')).toBe(300 - seen.length);
  });

  it('ends a subscription that is waiting, at once', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const subscription = await bus.subscribe(topic, { group: 'g', blockMs: 60_000 }, async () => undefined);
    const broadcast = await bus.subscribe(topic, { mode: 'broadcast', blockMs: 60_000 }, async () => undefined);
    await Promise.all([subscription.close(), broadcast.close(), subscription.close()]);
    await expect(bus.close()).resolves.toBeUndefined();
  });

  it('closing the publisher loses nothing that it has confirmed', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 500);
    await bus.close();
    const count = isDurable ? (await open()).unacknowledged : unacknowledged;
    expect(await count(topic, 'g')).toBe(500);
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
