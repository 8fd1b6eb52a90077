import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { describeWith, eventually, startRedisServer, testServer } from '@millrace/testing';
import { Registry } from 'prom-client';
import { createRedisStreamsBus } from '../src/index.ts';
import type { RedisStreamsBus, RedisStreamsBusOptions } from '../src/index.ts';
import { createTestTopic, numbersOf, publishAll, upTo } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';

let url = testServer('redis');
let redis: Redis;
let topic: TestTopic;
const buses: RedisStreamsBus[] = [];
const openBus = (more: Partial<RedisStreamsBusOptions> = {}): RedisStreamsBus => {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }), claimIdleMs: 300, retryBaseMs: 5, ...more });
  buses.push(bus);
  return bus;
};
const marker = (group: string): Promise<string | null> => redis.get(`${topic.name}:bootstrapped:${group}`);

beforeEach(() => {
  url = testServer('redis');
  redis = connectRedis(url, { role: 'background', name: 'bus test' });
  topic = createTestTopic();
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await closeRedis(redis);
});

/** A group that has handled `count` events and whose consumer is away. */
async function leaveGroup(bus: RedisStreamsBus, group: string, canBootstrap: boolean): Promise<void> {
  const seen: number[] = [];
  const subscription = await bus.subscribe(topic, { group, ...(canBootstrap ? { onGroupCreated: async () => undefined } : {}) }, async (events) => void seen.push(...numbersOf(events)));
  await eventually(async () => seen.length > 0 && (await bus.lag(topic, group)).messages === 0);
  await subscription.close();
}

describe('I7: trimming', () => {
  it('never drops what a group has not read or not acknowledged, while it makes progress', async () => {
    const bus = openBus();
    await publishAll(bus, topic, 100);
    await leaveGroup(bus, 'g', true);
    await publishAll(bus, topic, 100, 100);
    for (let round = 0; round < 3; round += 1) {
      await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 60_000 });
      expect(await redis.xlen(topic.name)).toBe(100);
    }
    expect(await marker('g')).toMatch(/^\d+$/);
  });

  it('passes over a group that stands still, which reads the export again before its next event', async () => {
    const metrics = new Registry();
    const bus = openBus({ metrics });
    await publishAll(bus, topic, 10);
    await leaveGroup(bus, 'g', true);
    await publishAll(bus, topic, 50, 10);
    expect(await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 })).toBe(60);
    expect(await marker('g')).toMatch(/^needs-bootstrap \d+$/);
    expect(await metrics.getSingleMetricAsString('bus_groups_passed_over_total')).toContain('group="g"} 1');
    await publishAll(bus, topic, 5, 60);
    const log: string[] = [];
    await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await eventually(() => log.length === 6);
    expect(log).toEqual(['export', ...upTo(5).map((n) => `event ${60 + n}`)]);
    expect(await bus.lag(topic, 'g')).toMatchObject({ messages: 0 });
    expect(await marker('g')).toMatch(/^\d+$/);
  });

  it('lets a running consumer whose sink was away for too long bootstrap without a restart', async () => {
    const bus = openBus();
    const release = Promise.withResolvers<undefined>();
    const log: string[] = [];
    await publishAll(bus, topic, 3);
    await bus.subscribe(topic, { group: 'g', batchSize: 1, onGroupCreated: async () => void log.push('export') }, async (events) => {
      await release.promise;
      log.push(...events.map(({ n }) => `event ${n}`));
    });
    await eventually(async () => Number((await redis.xpending(topic.name, 'g'))[0]) >= 1);
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 });
    expect(await redis.xlen(topic.name)).toBe(0);
    release.resolve(undefined);
    await eventually(() => log.filter((line) => line === 'export').length === 2);
    await publishAll(bus, topic, 1, 3);
    await eventually(() => log.includes('event 3'));
    expect(log.indexOf('event 3')).toBeGreaterThan(log.lastIndexOf('export'));
  });

  it('never passes over a group that cannot bootstrap, nor one that is bootstrapping', async () => {
    const bus = openBus();
    await publishAll(bus, topic, 10);
    await leaveGroup(bus, 'writer', false);
    await publishAll(bus, topic, 20, 10);
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 });
    expect(await redis.xlen(topic.name)).toBe(20);
    const never = new Promise<void>(() => undefined);
    await bus.subscribe(topic, { group: 'new', onGroupCreated: () => never }, async () => undefined);
    await eventually(async () => (await redis.exists(`${topic.name}:bootstrapping:new`)) === 1);
    await redis.xgroup('DESTROY', topic.name, 'writer');
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 });
    expect(await redis.xlen(topic.name)).toBe(20);
  });

  it('counts how long a group acknowledged nothing, not how long it is behind', async () => {
    const bus = openBus();
    await publishAll(bus, topic, 10);
    await leaveGroup(bus, 'g', true);
    await publishAll(bus, topic, 20, 10);
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 3_600_000 });
    const [at, since] = String(await redis.hget(`${topic.name}:progress`, 'g')).split(' ');
    await redis.hset(`${topic.name}:progress`, 'g', `${at} ${Number(since) - 3_600_000}`);
    // It acknowledges one, and stays behind.
    await redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', 1, 'STREAMS', topic.name, '>');
    const [oldest] = await redis.xrange(topic.name, '-', '+', 'COUNT', 1);
    await redis.xack(topic.name, 'g', oldest?.[0] ?? '');
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 3_600_000 });
    expect(await redis.xlen(topic.name)).toBe(19);
    const [again] = String(await redis.hget(`${topic.name}:progress`, 'g')).split(' ');
    await redis.hset(`${topic.name}:progress`, 'g', `${again} ${Date.now() - 3_600_001}`);
    await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 3_600_000 });
    expect(await redis.xlen(topic.name)).toBe(0);
  });
});

describeWith('redis-server', 'I7 at 70 % of maxmemory', () => {
  it('passes over a group that is too far behind, and never a group that cannot bootstrap', async () => {
    const server = await startRedisServer();
    url = server.url;
    const admin = connectRedis(url, { role: 'background', name: 'test' });
    const bus = openBus();
    await publishAll(bus, topic, 10);
    await leaveGroup(bus, 'replayable', true);
    await publishAll(bus, topic, 3_000, 10);
    const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
    await admin.config('SET', 'maxmemory', String(Math.round(used / 0.8)));
    expect(await bus.trimAcknowledged(topic, { keep: 5_000 })).toBe(10);
    expect(await bus.trimAcknowledged(topic, { keep: 1_000 })).toBe(3_000);
    expect(await admin.get(`${topic.name}:bootstrapped:replayable`)).toMatch(/^needs-bootstrap \d+$/);
    await publishAll(bus, topic, 10, 4_000);
    await leaveGroup(bus, 'writer', false);
    await publishAll(bus, topic, 3_000, 5_000);
    await bus.trimAcknowledged(topic, { keep: 0, stalledUnderPressureMs: 0 });
    expect(await admin.xlen(topic.name)).toBe(3_000);
    await closeRedis(admin);
    await bus.close();
    await server.stop();
  });
});
