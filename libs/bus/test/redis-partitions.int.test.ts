import { describe, expect, it } from '@jest/globals';
import { asFields, asList, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing';
import { Registry } from 'prom-client';
import type { BatchHandler, Delivery } from '../src/index.ts';
import { checkPartitions, createRedisStreamsBus, keysOf, partitionOf, PartitionMismatchError, readLayout, repartition } from '../src/index.ts';
import type { RedisStreamsBus } from '../src/index.ts';
import { numbersOf, publishAll, sorted, upTo } from '../src/testing.ts';
import type { TestEvent, TestTopic } from '../src/testing.ts';
import { createBusKit } from './bus-kit.ts';
import { servers } from './servers.ts';

let url: string;
const keys = createKeys();
let redis: Redis;
let topic: TestTopic;
const { buses, openBus, useServer } = createBusKit((one) => ({ partitions: { [one.name]: 4 } }));
/** Of whatever number the topic has by now. */
const openAny = (consumer: string): RedisStreamsBus => openBus({ consumer, partitions: {} });
/** For `eventually`: true once nothing is thrown. */
const holds = (check: () => unknown) => async (): Promise<boolean> => {
  await check();
  return true;
};
const lagOf = async (group = 'g'): Promise<number> => (await (buses[0] ?? openBus()).lag(topic, group)).messages;
const streams = async (): Promise<string[]> => keysOf(keys, topic.name, (await readLayout(redis, keys, topic.name)).current).map(({ stream }) => stream);

describe.each(servers)('on $name', ({ address }) => {
useServer(address, (fresh) => ({ url, redis, topic } = fresh));

/** Which consumer handled an event, from which partition. */
interface Handling {
  readonly consumer: string;
  readonly event: TestEvent;
  readonly delivery: Delivery | undefined;
}
const recording = (into: Handling[], consumer: string): BatchHandler<TestEvent> => async (events, delivery) => void into.push(...events.map((event) => ({ consumer, event, delivery })));
const expectOrderPerKey = (handlings: readonly Handling[]): void => {
  const last = new Map<string, number>();
  for (const { event } of handlings) {
    expect(event.n).toBeGreaterThan(last.get(event.key) ?? -1);
    last.set(event.key, event.n);
  }
};

describe('partitions', () => {
  it('spreads a topic over streams of its hash tags, all events of a key in one of them', async () => {
    await publishAll(openBus(), topic, 320);
    const names = await streams();
    expect(names).toEqual(upTo(4).map((p) => `${topic.name}:{${topic.name}:${p}}`));
    expect(await redis.exists(topic.name)).toBe(0);
    for (const [index, stream] of names.entries()) {
      const found = (await redis.xrange(stream, '-', '+')).map(([, fields]) => asFields(fields).get('key'));
      expect(new Set(found)).toEqual(new Set(upTo(16).map((n) => `k${n}`).filter((key) => partitionOf(key, 4) === index)));
    }
  });

  it('gives each partition to one consumer, and shares them anew when one joins, leaves or dies', async () => {
    const handlings: Handling[] = [];
    for (const consumer of ['a', 'b']) await openBus({ consumer }).subscribe(topic, { group: 'g' }, recording(handlings, consumer));
    const holders = async (): Promise<string[]> => Promise.all((await streams()).map(async (stream) => (await redis.get(`${stream}:lease:g`))?.split(' ')[1] ?? 'nobody'));
    const counts = async (): Promise<Record<string, number>> => (await holders()).reduce<Record<string, number>>((sum, holder) => ({ ...sum, [holder]: (sum[holder] ?? 0) + 1 }), {});
    await eventually(holds(async () => expect(await counts()).toEqual({ a: 2, b: 2 })));
    await openBus({ consumer: 'c' }).subscribe(topic, { group: 'g' }, recording(handlings, 'c'));
    await eventually(holds(async () => expect(await counts()).toEqual({ a: 2, b: 1, c: 1 })));
    await buses[0]?.close();
    await eventually(holds(async () => expect(await counts()).toEqual({ b: 2, c: 2 })));
    await publishAll(openBus(), topic, 200);
    await eventually(holds(() => expect(handlings).toHaveLength(200)));
    expectOrderPerKey(handlings);
    for (const { delivery } of handlings) expect(delivery?.fencingToken).toBeGreaterThan(0);
  });

  it('takes over the partitions of a consumer that died, with what it held, in order', async () => {
    const dead = openBus({ consumer: 'dead' });
    await publishAll(dead, topic, 160);
    for (const of of keysOf(keys, topic.name, { first: 0, count: 4 })) {
      await redis.xgroup('CREATE', of.stream, 'g', '0');
      await redis.set(of.lease('g'), '1 dead', 'PX', 400);
      await redis.set(of.fence('g'), 1);
      await redis.xreadgroup('GROUP', 'g', 'dead', 'COUNT', 10, 'STREAMS', of.stream, '>');
    }
    const handlings: Handling[] = [];
    await openBus({ consumer: 'heir' }).subscribe(topic, { group: 'g', ordering: 'key' }, recording(handlings, 'heir'));
    await eventually(holds(() => expect(handlings).toHaveLength(160)));
    expectOrderPerKey(handlings);
    expect(handlings[0]?.delivery?.fencingToken).toBeGreaterThan(1);
    await eventually(holds(async () => expect(await lagOf()).toBe(0)));
  });

  it('refuses whatever a consumer does that stood still while its partition went to another', async () => {
    const release = Promise.withResolvers<undefined>();
    const seen: string[] = [];
    let signal: AbortSignal | undefined;
    const stale = openBus({ consumer: 'stale', partitions: {} });
    await publishAll(stale, topic, 3);
    await stale.subscribe(topic, { group: 'g', ordering: 'key' }, async (events, delivery) => {
      if (seen.push(...events.map(({ n }) => `stale ${n}`)) > 3) return;
      signal = delivery?.signal;
      await release.promise;
    });
    await eventually(holds(() => expect(seen).toHaveLength(3)));
    await redis.del(keys.topic(topic.name).lease('g'));
    await openAny('heir').subscribe(topic, { group: 'g', ordering: 'key' }, async (events) => void seen.push(...events.map(({ n }) => `heir ${n}`)));
    await eventually(holds(() => expect(seen.slice(3)).toEqual(['heir 0', 'heir 1', 'heir 2'])));
    await eventually(holds(() => expect(signal?.aborted).toBe(true)));
    await publishAll(stale, topic, 3, 3);
    release.resolve(undefined);
    await eventually(holds(async () => expect(await lagOf()).toBe(0)));
    expect(seen.filter((line) => line.startsWith('heir'))).toEqual(upTo(6).map((n) => `heir ${n}`));
    expect(seen).toHaveLength(9);
  });

  it('reads the export once for all partitions of a new group, before its first event', async () => {
    const log: string[] = [];
    await publishAll(openBus(), topic, 64);
    await openBus({ consumer: 'a' }).subscribe(topic, { group: 'g', onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(() => 'event')));
    await eventually(holds(() => expect(log).toHaveLength(65)));
    expect(log.indexOf('export')).toBe(0);
  });

  it('broadcasts every partition to every instance', async () => {
    const seen: number[][] = [[], []];
    for (const one of seen) await openBus().subscribe(topic, { mode: 'broadcast' }, async (events) => void one.push(...numbersOf(events)));
    await publishAll(openBus(), topic, 100);
    await eventually(() => seen.every((one) => one.length === 100));
    for (const one of seen) expect(sorted(one)).toEqual(upTo(100));
  });

  it('refuses to start with another number than the topic has, and says what to do', async () => {
    await publishAll(openBus(), topic, 1);
    const other = openBus({ partitions: { [topic.name]: 8 } });
    const refusal = { name: 'PartitionMismatchError', message: expect.stringContaining(`has 4 partitions and this service is configured for 8: run "millrace streams repartition ${topic.name} 8"`) };
    await expect(other.subscribe(topic, { group: 'g' }, async () => undefined)).rejects.toMatchObject(refusal);
    await expect(other.subscribe(topic, { mode: 'broadcast' }, async () => undefined)).rejects.toMatchObject(refusal);
    await expect(publishAll(other, topic, 1)).rejects.toMatchObject(refusal);
    await expect(checkPartitions(redis, keys, { [topic.name]: 8 })).rejects.toMatchObject(refusal);
    await expect(checkPartitions(redis, keys, { [topic.name]: 4, nothing: 3 })).resolves.toBeUndefined();
    expect(await lagOf()).toBe(1);
  });

  it('counts a stream from before there were partitions as one', async () => {
    await redis.xadd(topic.name, '*', 'event_type', 'created', 'key', 'k1', 'data', '{"key":"k1","n":1}');
    await expect(publishAll(openBus(), topic, 1)).rejects.toBeInstanceOf(PartitionMismatchError);
  });
});

describe('repartition', () => {
  it.each([[1, 4], [4, 8], [4, 1], [8, 2]])('moves a topic from %i to %i partitions under load: nothing lost, the order of each key kept', async (from, to) => {
    const handlings: Handling[] = [];
    // Configured with the old number: running services go along.
    const publisher = openBus({ partitions: { [topic.name]: from } });
    await publishAll(publisher, topic, 200);
    for (const consumer of ['a', 'b']) await openBus({ consumer, leaseMs: 2_000, partitions: { [topic.name]: from } }).subscribe(topic, { group: 'g', ordering: 'key', batchSize: 10 }, recording(handlings, consumer));
    const publishing = publishAll(publisher, topic, 2_000, 200);
    await eventually(holds(() => expect(handlings.length).toBeGreaterThan(20)));
    await repartition(redis, keys, topic.name, to);
    await publishing;
    await publishAll(openAny('q'), topic, 300, 2_200);
    await eventually(holds(() => expect(handlings).toHaveLength(2_500)));
    expectOrderPerKey(handlings);
    expect(await streams()).toHaveLength(to);
    // The owner's next trim removes the old partitions; a publisher that still believes in them is told.
    const old = keysOf(keys, topic.name, { first: 0, count: from }).map(({ stream }) => stream);
    await eventually(holds(async () => expect(await lagOf()).toBe(0)));
    await publisher.trimAcknowledged(topic, { keep: 0 });
    expect((await readLayout(redis, keys, topic.name)).draining).toBeUndefined();
    expect(await redis.exists(...old)).toBe(0);
    const late = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }) });
    buses.push(late);
    await publishAll(late, topic, 1, 2_500);
    await eventually(holds(() => expect(handlings.at(-1)?.event.n).toBe(2_500)));
  });

  it('takes every group along: one whose consumers are away loses nothing, and none reads the export again', async () => {
    const log: string[] = [];
    const options = { group: 'g', onGroupCreated: async () => void log.push('export') };
    const handle: BatchHandler<TestEvent> = async (events) => void log.push(...events.map(({ n }) => `event ${n}`));
    const bus = openBus({ partitions: {} });
    await publishAll(bus, topic, 3);
    const subscription = await bus.subscribe(topic, options, handle);
    await eventually(() => log.length === 4);
    await subscription.close();
    await repartition(redis, keys, topic.name, 4);
    await publishAll(bus, topic, 20, 3);
    for (let round = 0; round < 2; round += 1) await bus.trimAcknowledged(topic, { keep: 0 });
    expect((await bus.lag(topic, 'g')).messages).toBe(20);
    await bus.subscribe(topic, options, handle);
    await eventually(() => log.length === 24);
    expect(log.filter((line) => line === 'export')).toHaveLength(1);
  });

  it('is followed by running competing consumers and broadcasts while the owner removes the old partition: nothing is made again', async () => {
    const log: string[] = [];
    const heard: number[] = [];
    const bus = openBus({ partitions: { [topic.name]: 1 }, blockMs: 50 });
    for (const consumer of ['a', 'b'])
      await bus.subscribe(topic, { group: 'g', consumer, onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await bus.subscribe(topic, { mode: 'broadcast' }, async (events) => void heard.push(...numbersOf(events)));
    await publishAll(bus, topic, 3);
    await eventually(() => log.length === 4);
    await repartition(redis, keys, topic.name, 2);
    // As often as it can: the stream goes while its consumers still wait for it.
    await eventually(async () => {
      await bus.trimAcknowledged(topic, { keep: 0 });
      return (await redis.exists(topic.name)) === 0;
    });
    await publishAll(bus, topic, 20, 3);
    await eventually(() => log.length === 24);
    expect(log.filter((line) => line === 'export')).toHaveLength(1);
    expect(await redis.exists(topic.name)).toBe(0);
    await eventually(async () => {
      await publishAll(bus, topic, 1, 100);
      return heard.includes(100);
    });
  });

  it('handles the gaps of all partitions together, one handling at a time, and then reads on', async () => {
    const metrics = new Registry();
    const bus = openBus({ metrics, partitions: { [topic.name]: 1 }, blockMs: 50 });
    const publisher = openAny('q');
    const heard: number[] = [];
    const allFound = Promise.withResolvers<void>();
    let [running, most, handled] = [0, 0, 0];
    const onGap = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      if (handled > 0) await allFound.promise;
      running -= 1;
      handled += 1;
    };
    await bus.subscribe(topic, { mode: 'broadcast', onGap }, async (events) => void heard.push(...numbersOf(events)));
    await repartition(redis, keys, topic.name, 32);
    await eventually(async () => (await metrics.getSingleMetricAsString('bus_broadcast_gaps_total')).endsWith(' 33'));
    allFound.resolve();
    await eventually(async () => {
      await publishAll(publisher, topic, 64);
      return upTo(64).every((n) => heard.includes(n));
    });
    expect(most).toBe(1);
    // One at the start; after the change one that the first partition began, and one for all that came meanwhile.
    expect(handled).toBeLessThanOrEqual(3);
  });

  it('refuses a second change while the first one drains, and finishes one that was cut short', async () => {
    await publishAll(openBus(), topic, 10);
    await redis.xgroup('CREATE', (await streams())[0] ?? '', 'slow', '0');
    await repartition(redis, keys, topic.name, 2);
    await expect(repartition(redis, keys, topic.name, 3)).rejects.toThrow('is still draining its 4 old partitions');
    // As if it had died before it closed them.
    const old = keysOf(keys, topic.name, { first: 0, count: 4 });
    for (const { layout } of old) await redis.set(layout, 'open again');
    await repartition(redis, keys, topic.name, 2);
    for (const { layout } of old) expect(await redis.get(layout)).toMatch(/^closed /);
  });

  it('sends the events of a publisher with an old view to the new partitions', async () => {
    const publisher = openBus({ partitions: {} });
    await publishAll(publisher, topic, 10);
    await repartition(redis, keys, topic.name, 4);
    await publishAll(publisher, topic, 100, 10);
    expect(await redis.xlen(topic.name)).toBe(10);
    const lengths = await Promise.all((await streams()).map((stream) => redis.xlen(stream)));
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(100);
    expect(asList(await redis.hmget(`${topic.name}:meta`, 'partitions', 'draining'))).toEqual(['4', '0:1']);
  });
});
});
