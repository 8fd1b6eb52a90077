import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler } from '../bus.ts';
import type { ManagedBus } from '../managed-bus.ts';
import { createTestTopic, numbered, numbersOf, sorted, upTo } from './test-topic.ts';
import type { TestEvent } from './test-topic.ts';

export interface MortalServer {
  readonly url: string;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A broker that keeps what it has acknowledged, killed and started again under its clients. */
export function describeSurvival(name: string, start: () => Promise<MortalServer>, open: (url: string) => ManagedBus): void {
  describe(`${name}, killed and started again`, () => {
    const withServer = async (test: (server: MortalServer, openBus: () => ManagedBus) => Promise<void>): Promise<void> => {
      const server = await start();
      const buses: ManagedBus[] = [];
      try {
        await test(server, () => {
          const bus = open(server.url);
          buses.push(bus);
          return bus;
        });
      } finally {
        await Promise.all(buses.map((bus) => bus.close()));
        await server.stop();
      }
    };

    it.each(['none', 'key'] as const)('loses nothing that it has confirmed, and consumers with the order "%s" go on without a restart', async (ordering) => {
      await withServer(async (server, openBus) => {
        const [publisher, consumer] = [openBus(), openBus()];
        const topic = createTestTopic();
        const seen: TestEvent[] = [];
        const handle: BatchHandler<TestEvent> = async (events) => {
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(...events);
        };
        for (let count = 0; count < 2; count += 1) await consumer.subscribe(topic, { group: 'g', ordering, batchSize: 20 }, handle);
        const over = new AbortController();
        const publishing = (async () => {
          let [next, isDone] = [0, true];
          while (!over.signal.aborted || next < 1_000 || !isDone) {
            // One that is unclear is repeated, to the end: it may be there twice, or in part.
            isDone = await publisher.publish(topic, numbered(25, next)).then(() => true, () => false);
            if (isDone) next += 25;
            else await eventually(() => publisher.ping().then(() => true), { timeoutMs: 30_000, everyMs: 50 });
          }
          return next;
        })();
        for (const size of [100, 400]) {
          await eventually(() => seen.length > size);
          await server.kill();
          await server.restart();
        }
        await eventually(() => seen.length > 800);
        over.abort();
        const published = await publishing;
        await eventually(async () => (await consumer.lag(topic, 'g')).messages === 0, { timeoutMs: 40_000, everyMs: 100 });
        expect(sorted(numbersOf(seen))).toEqual(upTo(published));
        expect((await consumer.lag(topic, 'g')).deadLetters).toBe(0);
      });
    });

    it('tells of a broadcast again as soon as it is back', async () => {
      await withServer(async (server, openBus) => {
        const [publisher, listener] = [openBus(), openBus()];
        const topic = createTestTopic();
        const seen: number[] = [];
        await listener.subscribe(topic, { mode: 'broadcast' }, async (events) => void seen.push(...numbersOf(events)));
        // It may begin to listen a moment after it was asked to.
        await eventually(async () => {
          await publisher.publish(topic, numbered(1));
          return seen.length > 0;
        });
        await server.kill();
        await server.restart();
        await eventually(() => publisher.publish(topic, numbered(1, 1)).then(() => true), { timeoutMs: 30_000, everyMs: 50 });
        await eventually(() => seen.includes(1));
      });
    });

    it('leaves its clients their time while it is away', async () => {
      await withServer(async (server, openBus) => {
        const bus = openBus();
        const topic = createTestTopic();
        await bus.subscribe(topic, { group: 'g' }, async () => undefined);
        await bus.subscribe(topic, { group: 'h', ordering: 'key' }, async () => undefined);
        await bus.subscribe(topic, { mode: 'broadcast' }, async () => undefined);
        await server.kill();
        const before = process.cpuUsage();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        const { user, system } = process.cpuUsage(before);
        expect(user + system).toBeLessThan(300_000);
      });
    });

    it('is waited for: subscriptions made while it is away begin when it comes', async () => {
      await withServer(async (server, openBus) => {
        await server.kill();
        const bus = openBus();
        const topic = createTestTopic();
        const seen: number[] = [];
        await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
        await expect(bus.publish(topic, numbered(1))).rejects.toMatchObject({ code: 'unavailable' });
        await server.restart();
        await eventually(() => bus.publish(topic, numbered(1)).then(() => true), { timeoutMs: 30_000, everyMs: 50 });
        await eventually(() => seen.includes(0));
      });
    });
  });
}
