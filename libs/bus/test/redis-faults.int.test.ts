import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, infoField } from '@millrace/redis-kit';
import { describeWith, eventually, startRedisReplica, startRedisSentinel, startRedisServer, startTunnel } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { createRedisStreamsBus } from '../src/index.ts';
import type { RedisStreamsBus } from '../src/index.ts';
import { createTestTopic, numbersOf, publishAll, sorted, upTo } from '../src/testing.ts';

describeWith('redis-server', 'the bus on a Redis that fails', () => {
  let server: RedisServer;
  let bus: RedisStreamsBus;
  const others: RedisServer[] = [];
  const open = (url: string, silentSocketMs = 10_000) => (bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test', silentSocketMs }), blockMs: 100, retryBaseMs: 5, claimIdleMs: 1_000 }));
  beforeEach(async () => {
    server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
  });
  afterEach(async () => {
    server.resume();
    await bus.close();
    await Promise.all([server, ...others.splice(0)].map((one) => one.stop()));
  });

  it('loses nothing when the broker is killed and restarted at a third and at a half', async () => {
    open(server.url);
    const topic = createTestTopic();
    const seen: number[] = [];
    const count = process.env['TEST_SCALE'] === 'full' ? 10_080 : 1_200;
    const step = count / 24;
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => void seen.push(...numbersOf(events)));
    for (let n = 0; n < count; n += step) {
      await eventually(() => publishAll(bus, topic, step, n).then(() => true));
      if (n === step * 8 || n === step * 12) await server.restart();
    }
    await eventually(() => sorted(seen).length === count);
    expect(sorted(seen)).toEqual(upTo(count));
  });

  it('goes on after the broker stood still', async () => {
    open(server.url);
    const topic = createTestTopic();
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 5);
    await eventually(() => seen.length === 5);
    server.pause();
    const publishing = publishAll(bus, topic, 5, 5);
    server.resume();
    await publishing;
    await eventually(() => sorted(seen).length === 10);
    expect(sorted(seen)).toEqual(upTo(10));
  });

  it('replaces a black-holed socket', async () => {
    const tunnel = await startTunnel(server.url);
    open(tunnel.url, 400);
    const topic = createTestTopic();
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => publishAll(bus, topic, 5).then(() => true));
    await eventually(() => sorted(seen).length === 5);
    const before = tunnel.connections();
    tunnel.swallow(true);
    await eventually(() => tunnel.connections() > before);
    tunnel.swallow(false);
    await eventually(() => publishAll(bus, topic, 5, 5).then(() => true));
    await eventually(() => sorted(seen).length === 10);
    expect(sorted(seen)).toEqual(upTo(10));
    await bus.close();
    tunnel.close();
  });

  it('goes on at the replica that took over when the primary died', async () => {
    others.push(await startRedisReplica(server));
    const sentinel = await startRedisSentinel(server, 'bus');
    others.push(sentinel);
    open(`redis-sentinel://127.0.0.1:${sentinel.port}?sentinelServiceName=bus`, 1_000);
    const topic = createTestTopic();
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 100);
    await eventually(() => sorted(seen).length === 100);
    const admin = connectRedis(server.url, { role: 'background', name: 'test' });
    await admin.wait(1, 5_000);
    await closeRedis(admin);
    await server.kill();
    // What was confirmed by the primary only may be gone: the producer repeats what was not confirmed, the outbox relay also the rest.
    await eventually(() => publishAll(bus, topic, 100, 100).then(() => true));
    await eventually(() => sorted(seen).length === 200);
    expect(sorted(seen)).toEqual(upTo(200));
    await bus.close();
  });

  it.each([0, 1, 2, 5])('closes after something between it and the broker has accepted and dropped %i of its connections', async (dropped) => {
    const tunnel = await startTunnel(server.url);
    open(tunnel.url);
    await bus.subscribe(createTestTopic(), { group: 'g' }, async () => undefined);
    tunnel.drop(true);
    await eventually(() => tunnel.drops() >= dropped);
    await expect(bus.close()).resolves.toBeUndefined();
    tunnel.close();
  });

  it('reads on after it reclaimed entries while its reader had no connection', async () => {
    const tunnel = await startTunnel(server.url);
    const topic = createTestTopic();
    const seen: number[] = [];
    bus = createRedisStreamsBus({ connect: (role) => connectRedis(role === 'blocking' ? tunnel.url : server.url, { role, name: 'bus test' }), consumer: 'me', retryBaseMs: 5, claimIdleMs: 200 });
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 1);
    await eventually(() => seen.length === 1);
    tunnel.drop(true);
    const redis = connectRedis(server.url, { role: 'background', name: 'test' });
    await publishAll(bus, topic, 1, 1);
    await redis.xreadgroup('GROUP', 'g', 'dead', 'COUNT', 1, 'STREAMS', topic.name, '>');
    await eventually(async () => (await redis.xpending(topic.name, 'g', '-', '+', 1, 'me')).length === 1);
    tunnel.drop(false);
    await publishAll(bus, topic, 3, 2);
    await eventually(() => sorted(seen).length === 5);
    await closeRedis(redis);
    await bus.close();
    tunnel.close();
  });

  it('consumes, parks, leases and trims on a broker without memory left', async () => {
    open(server.url);
    const admin = connectRedis(server.url, { role: 'background', name: 'test' });
    const topic = createTestTopic();
    const seen: number[] = [];
    await publishAll(bus, topic, 200);
    const first = await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 200);
    await first.close();
    await publishAll(bus, topic, 5, 200);
    await admin.config('SET', 'maxmemory', '1');
    expect(await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 60_000 })).toBe(200);
    const leased = await bus.subscribe(topic, { group: 'g', ordering: 'key' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 205);
    await leased.close();
    await bus.subscribe(topic, { group: 'other' }, async () => Promise.reject(new Error('never')));
    await eventually(async () => (await bus.lag(topic, 'other')).messages === 0);
    expect((await bus.lag(topic, 'other')).deadLetters).toBe(5);
    await closeRedis(admin);
  });

  it('closes while the broker is down', async () => {
    open(server.url);
    const topic = createTestTopic();
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await bus.subscribe(topic, { mode: 'broadcast' }, async () => undefined);
    await server.kill();
    await expect(bus.close()).resolves.toBeUndefined();
  });

  it('subscribes before the broker is there, and bootstraps again after a flush', async () => {
    await server.kill();
    open(server.url);
    const topic = createTestTopic();
    const log: string[] = [];
    await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await server.restart();
    await eventually(() => publishAll(bus, topic, 1).then(() => true));
    await eventually(() => log.includes('event 0'));
    const redis = connectRedis(server.url, { role: 'background', name: 'flush' });
    await redis.flushall();
    redis.disconnect();
    await eventually(() => log.filter((line) => line === 'export').length === 2);
    expect(log.slice(0, 2)).toEqual(['export', 'event 0']);
  });

  it('tells a broadcast subscription of a gap after Redis lost data or trimmed what was not read', async () => {
    open(server.url);
    const topic = createTestTopic();
    const redis = connectRedis(server.url, { role: 'background', name: 'bus test' });
    let gaps = 0;
    const seen: number[] = [];
    await bus.subscribe(topic, { mode: 'broadcast', onGap: async () => void (gaps += 1) }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 3);
    await eventually(() => seen.length === 3);
    expect(gaps).toBe(1);
    await redis.flushall();
    await publishAll(bus, topic, 1, 3);
    await eventually(() => gaps === 2);
    // Appended and trimmed in one transaction: nobody can have read it.
    await redis.multi().xadd(topic.name, '*', 'event_type', 'created').xadd(topic.name, '*', 'event_type', 'created').xtrim(topic.name, 'MAXLEN', 1).exec();
    await eventually(() => gaps === 3);
    await publishAll(bus, topic, 1, 4);
    await eventually(() => seen.includes(4));
    redis.disconnect();
    expect(gaps).toBe(3);
  });

  it('keeps acknowledged entries for whoever comes late only while memory is left', async () => {
    open(server.url);
    const topic = createTestTopic();
    const admin = connectRedis(server.url, { role: 'background', name: 'test' });
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(bus, topic, 500);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    expect(await bus.trimAcknowledged(topic, { keep: 400 })).toBe(100);
    expect(await bus.trimAcknowledged(topic, { keep: 400 })).toBe(0);
    await admin.config('SET', 'maxmemory', String(Number(await infoField(admin, 'used_memory')) + 400_000));
    expect(await bus.trimAcknowledged(topic, { keep: 400 })).toBe(400);
    await closeRedis(admin);
    expect(seen).toHaveLength(500);
  });
});
