import { uniqueName } from '@millrace/testing';
import { z } from 'zod';
import type { EventBus } from '../bus.ts';
import { defineTopic } from '../topic.ts';
import type { EventOf, NewEventOf } from '../topic.ts';

const payloads = { created: z.object({ key: z.string(), n: z.int() }), removed: z.object({ key: z.string(), n: z.int(), why: z.string().nullable() }) };
/** A topic of its own for each test. */
export const createTestTopic = () => defineTopic(uniqueName('topic'), payloads, { schemaVersion: 1, keyOf: (event) => event.key, versionOf: (event) => event.n });
export type TestTopic = ReturnType<typeof createTestTopic>;
export type TestEvent = EventOf<TestTopic>;

/** Events numbered from `from`, over 16 keys. */
export const numbered = (count: number, from = 0): NewEventOf<TestTopic>[] => Array.from({ length: count }, (_, index) => ({ type: 'created', key: `k${(from + index) % 16}`, n: from + index }));
export const numbersOf = (events: readonly TestEvent[]): number[] => events.map(({ n }) => n);
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
/** Each number once, in order. */
export const sorted = (numbers: Iterable<number>): number[] => [...new Set(numbers)].toSorted((a, b) => a - b);

export async function publishAll(bus: EventBus, topic: TestTopic, count: number, from = 0): Promise<void> {
  for (let start = 0; start < count; start += 500) await bus.publish(topic, numbered(Math.min(500, count - start), from + start));
}
