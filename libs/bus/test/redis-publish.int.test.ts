import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asEntries, asFields, closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { describeWith, eventually, startRedisServer, testServer, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createRedisStreamsBus, defineTopic } from '../src/index.ts';
import type { RedisStreamsBus, RedisStreamsBusOptions } from '../src/index.ts';
import { createTestTopic, publishAll, upTo } from '../src/testing.ts';

let url = testServer('redis');
let redis: Redis;
const buses: RedisStreamsBus[] = [];
const openBus = (more: Partial<RedisStreamsBusOptions> = {}): RedisStreamsBus => {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }), ...more });
  buses.push(bus);
  return bus;
};
const wire = async (stream: string) => asEntries(await redis.xrange(stream, '-', '+')).map(({ fields }) => Object.fromEntries(asFields(fields)));

beforeEach(() => {
  url = testServer('redis');
  redis = connectRedis(url, { role: 'background', name: 'bus test' });
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await closeRedis(redis);
});

describe('publish', () => {
  it('keeps the order of a large batch, over all its chunks', async () => {
    const topic = createTestTopic();
    const bus = openBus();
    await bus.publish(topic, upTo(2_345).map((n) => ({ type: 'created' as const, key: 'k', n })));
    expect((await wire(topic.name)).map(({ data }) => z.object({ n: z.int() }).parse(JSON.parse(data as string)).n)).toEqual(upTo(2_345));
  });

  it('appends nothing of a batch that holds an event which its schema refuses', async () => {
    const topic = createTestTopic();
    await expect(openBus().publish(topic, [{ type: 'created', key: 'k', n: 1 }, { type: 'created', key: 'k', n: 1.5 }])).rejects.toThrow();
    expect(await redis.exists(topic.name)).toBe(0);
  });

  it('appends an event once that is published twice within dedupMs, also by two publishers', async () => {
    const topic = defineTopic(uniqueName('once'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, dedupMs: 60_000, keyOf: () => 'k' });
    const ticks = upTo(5).map((n) => ({ type: 'tick' as const, n, meta: { id: `event-${n}` } }));
    await Promise.all([openBus().publish(topic, ticks), openBus().publish(topic, ticks)]);
    await openBus().publish(topic, [...ticks, { type: 'tick', n: 5, meta: { id: 'event-5' } }]);
    expect((await wire(topic.name)).map(({ id }) => id)).toEqual(upTo(6).map((n) => `event-${n}`));
    expect(await redis.pttl(`${topic.name}:ids`)).toBeGreaterThan(0);
    await redis.zadd(`${topic.name}:ids`, Date.now() - 60_001, 'event-0');
    await openBus().publish(topic, ticks.slice(0, 1));
    expect((await wire(topic.name)).map(({ id }) => id).at(-1)).toBe('event-0');
  });

  it('publishes on after a flush of Redis, which forgot the topic', async () => {
    const topic = createTestTopic();
    const bus = openBus();
    await publishAll(bus, topic, 3);
    await redis.unlink(topic.name, `${topic.name}:meta`, `${topic.name}:layout`);
    await publishAll(bus, topic, 4);
    expect(await redis.xlen(topic.name)).toBe(4);
  });
});

describeWith('redis-server', 'publish on a Redis that is slow, full or away', () => {
  it('holds a bounded amount while Redis stands still, refuses more, and loses nothing that it confirmed', async () => {
    const server = await startRedisServer();
    url = server.url;
    const topic = createTestTopic();
    const bus = openBus({ maxInFlight: 20_000, maxWaiting: 40_000 });
    await publishAll(bus, topic, 1);
    server.pause();
    const attempts = upTo(20).map((batch) => bus.publish(topic, upTo(20).map((n) => ({ type: 'created' as const, key: 'k', n: batch * 20 + n }))));
    const refused = await Promise.race([Promise.allSettled(attempts.slice(18)), new Promise<never>(() => undefined)]);
    for (const one of refused) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'unavailable', message: expect.stringContaining('too much is waiting') } });
    server.resume();
    const confirmed = (await Promise.allSettled(attempts)).filter(({ status }) => status === 'fulfilled').length;
    expect(confirmed).toBeGreaterThan(5);
    expect(confirmed).toBeLessThan(18);
    const admin = connectRedis(url, { role: 'background', name: 'test' });
    expect(await admin.xlen(topic.name)).toBe(1 + confirmed * 20);
    await closeRedis(admin);
    await bus.close();
    await server.stop();
  });

  it('rejects while Redis has no memory left, and goes on once it has', async () => {
    const server = await startRedisServer(['--maxmemory-policy', 'noeviction']);
    url = server.url;
    const topic = createTestTopic();
    const bus = openBus();
    const admin = connectRedis(url, { role: 'background', name: 'test' });
    await publishAll(bus, topic, 5);
    await admin.config('SET', 'maxmemory', '1');
    await expect(publishAll(bus, topic, 5, 5)).rejects.toThrow(/OOM/);
    await admin.config('SET', 'maxmemory', '0');
    await publishAll(bus, topic, 5, 5);
    expect(await eventually(async () => (await admin.xlen(topic.name)) === 10)).toBe(true);
    await closeRedis(admin);
    await bus.close();
    await server.stop();
  });
});
