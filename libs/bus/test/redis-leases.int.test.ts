import { describe, expect, it } from '@jest/globals';
import { connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';
import { eventually, startTunnel } from '@millrace/testing';
import { createRedisStreamsBus, isolateFailures, keysOf, readLayout, repartition, SinkUnavailableError } from '../src/index.ts';
import type { RedisStreamsBus } from '../src/index.ts';
import { numbersOf, publishAll, upTo } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';
import { createBusKit } from './bus-kit.ts';
import { servers } from './servers.ts';

let url: string;
const keys = createKeys();
let redis: Redis;
let topic: TestTopic;
const { buses, openBus, useServer } = createBusKit((one) => ({ partitions: { [one.name]: 4 } }));
/** Of whatever number the topic has by now. */
const openAny = (consumer: string): RedisStreamsBus => openBus({ consumer, partitions: {} });
const streams = async (): Promise<string[]> => keysOf(keys, topic.name, (await readLayout(redis, keys, topic.name)).current).map(({ stream }) => stream);

describe.each(servers)('on $name', ({ address }) => {
useServer(address, (fresh) => ({ url, redis, topic } = fresh));

describe('a leased consumer', () => {
  it('a handler is told that its lease is over before another one handles, also where the broker is silent', async () => {
    const tunnel = await startTunnel(url);
    const marks: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    const silent = createRedisStreamsBus({ connect: (role) => connectRedis(tunnel.url, { role, name: 'bus test', silentSocketMs: 2_000 }), consumer: 'silent', leaseMs: 400, retryBaseMs: 5 });
    buses.push(silent);
    await publishAll(openAny('p'), topic, 1);
    await silent.subscribe(topic, { group: 'g', ordering: 'key' }, async (_events, delivery) => {
      marks.push('silent handles');
      delivery?.signal.addEventListener('abort', () => marks.push('silent is told'));
      await gate.promise;
    });
    await eventually(() => marks.length === 1);
    tunnel.swallow(true);
    await openAny('heir').subscribe(topic, { group: 'g', ordering: 'key' }, async () => void marks.push('heir handles'));
    await eventually(() => marks.includes('heir handles'));
    expect(marks).toEqual(['silent handles', 'silent is told', 'heir handles']);
    gate.resolve(undefined);
    tunnel.swallow(false);
    await silent.close();
    tunnel.close();
  });

  it('an answer of a leased read that is lost changes neither the order nor what is handled', async () => {
    const tunnel = await startTunnel(url);
    const seen: number[] = [];
    const bus = createRedisStreamsBus({ connect: (role) => connectRedis(role === 'blocking' ? url : tunnel.url, { role, name: 'bus test' }), leaseMs: 5_000, retryBaseMs: 5 });
    buses.push(bus);
    await bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 10 }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(openAny('p'), topic, 1);
    await eventually(() => seen.length === 1);
    tunnel.cutAtReplyWith('"n":1}');
    await openAny('p').publish(topic, upTo(40).map((n) => ({ type: 'created' as const, key: 'k1', n: n + 1 })));
    await eventually(() => seen.length === 41);
    expect(seen).toEqual(upTo(41));
    expect(tunnel.cuts()).toBe(1);
    await bus.close();
    tunnel.close();
  });

  it('what competing consumers had put off is handled after a change to an order', async () => {
    const one = openAny('me');
    await publishAll(one, topic, 1);
    const subscription = await openBus({ consumer: 'me', partitions: {}, retryBaseMs: 60_000 }).subscribe(topic, { group: 'g' }, async () => Promise.reject(new Error('not yet')));
    // The second try as a whole waits for as long; so the entry is put off by hand, as the first single handling would.
    await eventually(async () => (await redis.xpending(topic.name, 'g'))[0] === 1);
    const [entry] = await redis.xrange(topic.name, '-', '+');
    await redis.zadd(`${topic.name}:delayed:g`, Date.now() + 3_600_000, entry?.[0] ?? '');
    await subscription.close();
    const seen: number[] = [];
    await one.subscribe(topic, { group: 'g', ordering: 'key' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 1);
    await eventually(async () => (await redis.exists(`${topic.name}:delayed:g`)) === 0);
  });

  it('no lane fills up while the sink is away', async () => {
    const event = (n: number) => ({ type: 'created' as const, key: 'hot', n });
    const bus = openBus({ partitions: {}, leaseMs: 5_000 });
    await bus.publish(topic, [event(0)]);
    await redis.xgroup('CREATE', topic.name, 'g', '0');
    await redis.xreadgroup('GROUP', 'g', 'dead', 'COUNT', 1, 'STREAMS', topic.name, '>');
    let isAway = true;
    let calls = 0;
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g', ordering: 'key', batchSize: 500 }, async (events) => {
      calls += 1;
      if (isAway) throw new SinkUnavailableError('away');
      seen.push(...numbersOf(events));
    });
    await bus.publish(topic, upTo(1_500).map((n) => event(n + 1)));
    await eventually(() => calls > 8);
    isAway = false;
    await eventually(() => seen.length === 1_501);
    expect(seen).toEqual(upTo(1_501));
    expect(await redis.exists(`${topic.name}:dlq:g`)).toBe(0);
  });

  it('events of a failed key wait behind it, also where the handler had done them', async () => {
    const bus = openBus({ partitions: {} });
    const done: string[] = [];
    let failures = 2;
    await bus.publish(topic, ['a', 'b', 'a', 'b'].map((key, n) => ({ type: 'created' as const, key, n })));
    await bus.subscribe(topic, { group: 'g', ordering: 'key' }, isolateFailures(async (events) => {
      if (events.some(({ n }) => n === 0) && failures-- > 0) throw new Error('not yet');
      done.push(...events.map(({ n }) => String(n)));
    }));
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    const first = done.indexOf('0');
    expect(done.slice(first)).toContain('2');
  });

  it('partitions that a layout had closed open again when the layout itself is lost', async () => {
    await publishAll(openBus(), topic, 10);
    await repartition(redis, keys, topic.name, 8);
    await openBus({ partitions: {} }).trimAcknowledged(topic, { keep: 0 });
    await redis.del(`${topic.name}:meta`);
    await publishAll(openBus({ partitions: { [topic.name]: 8 } }), topic, 20, 10);
    const lengths = await Promise.all((await streams()).map((stream) => redis.xlen(stream)));
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeGreaterThanOrEqual(20);
  });

  it('events that no group has read yet outlive a repartitioning', async () => {
    const bus = openBus({ partitions: {} });
    await publishAll(bus, topic, 10);
    await repartition(redis, keys, topic.name, 2);
    await bus.trimAcknowledged(topic, { keep: 100_000 });
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 10);
  });

  it('a partition that is passed over while nobody holds it is bootstrapped afresh by whoever takes it', async () => {
    const reads: string[] = [];
    const [a, b] = ['a', 'b'].map((consumer) => openBus({ consumer, partitions: { [topic.name]: 2 } }));
    const partitions = keysOf(keys, topic.name, { first: 0, count: 2 });
    const holders = async () => Promise.all(partitions.map(async (of) => (await redis.get(of.lease('g')))?.split(' ')[1]));
    await a?.subscribe(topic, { group: 'g', onGroupCreated: async () => void reads.push('a') }, async () => undefined);
    await b?.subscribe(topic, { group: 'g', onGroupCreated: async () => void reads.push('b') }, async () => undefined);
    await eventually(async () => (await holders()).toSorted((x, y) => String(x).localeCompare(String(y))).join(',') === 'a,b');
    const [ofA, ofB] = (await holders())[0] === 'a' ? partitions : partitions.toReversed();
    const isBootstrapped = async (of: TopicKeys | undefined) => /^\d+$/.test((await redis.get(of?.bootstrapped('g') ?? '')) ?? '');
    await eventually(async () => (await Promise.all(partitions.map(isBootstrapped))).every(Boolean));
    const passOver = async (of: TopicKeys | undefined) => redis.set(of?.bootstrapped('g') ?? '', `needs-bootstrap ${Date.now() * 1_000}`);
    await passOver(ofB);
    await eventually(() => isBootstrapped(ofB));
    expect(reads).toContain('b');
    const before = reads.length;
    await a?.close();
    await passOver(ofA);
    await eventually(async () => (await holders()).join(',') === 'b,b');
    await eventually(() => isBootstrapped(ofA));
    expect(reads.slice(before)).toEqual(['b']);
  });
});
});
