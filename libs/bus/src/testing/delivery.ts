import { expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler } from '../bus.ts';
import type { Open, Scaled } from './bus-under-test.ts';
import { createTestTopic, numbered, numbersOf, publishAll, upTo } from './test-topic.ts';
import type { TestEvent } from './test-topic.ts';

/** Who gets what, and in which order. */
export function describeDelivery(open: Open, scaled: Scaled): void {
  it('delivers equal payload and metadata, whatever characters they have', async () => {
    const { bus } = await open();
    const topic = createTestTopic();
    const seen: TestEvent[] = [];
    const meta = { id: 'event-1', timestamp: '2026-11-21T10:00:00.123456Z', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
    await bus.publish(topic, [{ type: 'removed', key: 'đường\u001E', n: 7, why: null, meta }, { type: 'removed', key: '{"a",\\}', n: 9, why: 'a\u0000b\u001Ec\n"\\' }, { type: 'created', key: 'x', n: 8 }]);
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events));
    await eventually(() => seen.length === 3);
    expect(seen[0]).toEqual({ type: 'removed', key: 'đường\u001E', n: 7, why: null, meta: { ...meta, schema: 1, streamId: expect.any(String) } });
    expect(seen[1]).toMatchObject({ key: '{"a",\\}', why: 'a\u0000b\u001Ec\n"\\' });
    expect(seen[2]?.meta).toEqual({ id: expect.any(String), timestamp: expect.any(String), schema: 1, streamId: expect.any(String) });
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

  it('isolates topics from each other, 20 at once', async () => {
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
