import { expect, it } from '@jest/globals';
import { createTestTopic, describeBusContract, describeManagedBusContract, numbered, numbersOf, sorted, upTo } from '@millrace/bus/testing';
import type { TestEvent } from '@millrace/bus/testing';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, createInbox, nanos } from '@nats-io/transport-node';
import { defineTopic } from '@millrace/bus';
import { describeWith, eventually, testServer, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createNatsBus } from '../src/index.ts';
import { stateSubject, streamOf } from '../src/names.ts';

const BURSTS = process.env['TEST_SCALE'] === 'full' ? 1_000 : 200;

/** Takes one message of the consumer that reads the topic, and says nothing of it. */
async function askForOne(topic: string): Promise<{ readonly taken: readonly string[]; close(): Promise<void> }> {
  const nc = await connect({ servers: testServer('nats').replace('nats://', '') });
  const [consumer] = await (await jetstreamManager(nc)).consumers.list(streamOf(topic)).next();
  const taken: string[] = [];
  const inbox = createInbox();
  nc.subscribe(inbox, { callback: (_, { reply }) => void (reply !== undefined && taken.push(reply)) });
  nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${streamOf(topic)}.${consumer?.name}`, JSON.stringify({ batch: 1, expires: nanos(60_000) }), { reply: inbox });
  await nc.flush();
  return { taken, close: () => nc.close() };
}

describeWith('nats', 'one server', () => {
  describeBusContract('nats-jetstream', { durable: true, scale: process.env['TEST_SCALE'] === 'full' ? 'full' : 'small' }, async (options) => {
    const bus = createNatsBus({ url: testServer('nats'), blockMs: 300, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, ...options });
    return {
      bus,
      unacknowledged: async (topic, group) => (await bus.lag(topic, group)).messages,
      deadLetters: async (topic, group) => (await bus.admin([topic]).listDeadLetters({ topic: topic.name, group }, { limit: 2_000 })).items.map(({ reason }) => reason),
    };
  });
  it('gives each event of many short bursts to a reader, never to a request that has ended', async () => {
    // What went to nobody would come after claimIdleMs only.
    const bus = createNatsBus({ url: testServer('nats'), blockMs: 300, claimIdleMs: 600_000 });
    const topics = Array.from({ length: 10 }, createTestTopic);
    const seen = topics.map((): number[] => []);
    await Promise.all(topics.map((topic, index) => bus.subscribe(topic, { group: 'g' }, async (events) => void seen[index]?.push(...numbersOf(events)))));
    await Promise.all(topics.map(async (topic) => {
      for (let n = 0; n < BURSTS * 3; n += 3) await Promise.all([0, 1, 2].map((more) => bus.publish(topic, numbered(1, n + more))));
    }));
    await eventually(() => seen.every((numbers) => numbers.length === BURSTS * 3));
    for (const numbers of seen) expect(numbers).toEqual(upTo(BURSTS * 3));
    await bus.close();
  });

  it('gives what comes while a reader ends to the others, at once', async () => {
    const openBus = () => createNatsBus({ url: testServer('nats'), blockMs: 300, claimIdleMs: 600_000 });
    const [staying, leaving] = [openBus(), openBus()];
    const topic = createTestTopic();
    const seen: number[] = [];
    const handle = async (events: readonly TestEvent[]): Promise<void> => void seen.push(...numbersOf(events));
    await staying.subscribe(topic, { group: 'g' }, handle);
    for (let round = 0; round < BURSTS / 5; round += 1) {
      const subscriptions = await Promise.all([0, 1, 2].map((n) => leaving.subscribe(topic, { group: 'g', consumer: `leaving-${n}` }, handle)));
      const publishing = Promise.all(upTo(20).map((n) => staying.publish(topic, numbered(1, round * 20 + n))));
      await Promise.all(subscriptions.map((one) => one.close()));
      await publishing;
    }
    const all = (BURSTS / 5) * 20;
    await eventually(() => new Set(seen).size === all);
    expect(sorted(seen)).toEqual(upTo(all));
    await Promise.all([staying.close(), leaving.close()]);
  });

  it('reads again what was lost on the way to the only consumer of a group with an order, before what came behind it', async () => {
    const bus = createNatsBus({ url: testServer('nats'), blockMs: 300, leaseMs: 1_000 });
    const topic = createTestTopic();
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g', ordering: 'partition' }, async (events) => void seen.push(...numbersOf(events)));
    await bus.publish(topic, numbered(1));
    await eventually(() => seen.length === 1);
    const thief = await askForOne(topic.name);
    let published = 1;
    await eventually(async () => {
      await bus.publish(topic, numbered(1, published));
      published += 1;
      return thief.taken.length > 0;
    });
    await bus.publish(topic, numbered(3, published));
    await eventually(() => seen.length === published + 3);
    expect(seen).toEqual(upTo(published + 3));
    await thief.close();
    await bus.close();
  });

  it('forgets consumers that were not seen for long', async () => {
    const topic = createTestTopic();
    const gone = await connect({ servers: testServer('nats').replace('nats://', '') });
    const bus = createNatsBus({ url: testServer('nats'), consumer: 'here', blockMs: 300, claimIdleMs: 300, forgetConsumersMs: 1 });
    const names = async () => (await bus.admin([topic]).topics())[0]?.streams[0]?.groups[0]?.consumers.map(({ consumer }) => consumer);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await jetstream(gone).publish(stateSubject('seen', topic.name, 'g', 'gone'), JSON.stringify({ consumer: 'gone' }));
    await eventually(async () => (await names())?.includes('gone') === false);
    await gone.close();
    await bus.close();
  });

  it('calls a stream that was removed unavailable, and makes it again at the next publish', async () => {
    const bus = createNatsBus({ url: testServer('nats') });
    const topic = createTestTopic();
    await bus.publish(topic, numbered(1));
    const nc = await connect({ servers: testServer('nats').replace('nats://', '') });
    await (await jetstreamManager(nc)).streams.delete(streamOf(topic.name));
    await nc.close();
    await expect(bus.publish(topic, numbered(1, 1))).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('no leader') });
    await bus.publish(topic, numbered(1, 2));
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length > 0);
    expect(seen).toEqual([2]);
    await bus.close();
  });

  it('lengthens the window of repeated ids of a stream that is there', async () => {
    const first = createNatsBus({ url: testServer('nats') });
    const name = uniqueName('window');
    const topicOf = (options: { dedupMs?: number }) => defineTopic(name, { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, keyOf: ({ n }) => String(n), ...options });
    await first.publish(topicOf({}), [{ type: 'tick', n: 1 }]);
    await first.close();
    const bus = createNatsBus({ url: testServer('nats') });
    await bus.publish(topicOf({ dedupMs: 3_600_000 }), [{ type: 'tick', n: 2 }]);
    const nc = await connect({ servers: testServer('nats').replace('nats://', '') });
    expect((await (await jetstreamManager(nc)).streams.info(streamOf(name))).config.duplicate_window).toBe(nanos(3_600_000));
    await nc.close();
    await bus.close();
  });

  describeManagedBusContract('nats-jetstream', async (url = testServer('nats')) => createNatsBus({ url, blockMs: 300, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5 }), { server: testServer('nats') });
});
