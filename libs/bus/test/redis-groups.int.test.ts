import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { asEntries, asFields, asList } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing';
import { Registry } from 'prom-client';
import { numbered, numbersOf, publishAll, sorted, upTo } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';
import { createBusKit } from './bus-kit.ts';
import { servers } from './servers.ts';

let url: string;
let redis: Redis;
let topic: TestTopic;
const { openBus, useServer } = createBusKit();
const pendingCount = async (): Promise<number> => Number(asList(await redis.xpending(topic.name, 'g'))[0]);
/** What a consumer that died held. */
const readAndDie = (consumer: string, count: number) => redis.xreadgroup('GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', topic.name, '>');

describe.each(servers)('on $name', ({ address }) => {
useServer(address, (fresh) => ({ url, redis, topic } = fresh));

describe('a group on Redis Streams', () => {
  it('reclaims what a dead consumer had read: two reclaimers, one winner for each entry', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    await publishAll(openBus(), topic, 50);
    await readAndDie('dead', 50);
    const seen: number[] = [];
    await Promise.all(['a', 'b'].map((consumer) => openBus({ consumer }).subscribe(topic, { group: 'g', batchSize: 5 }, async (events) => void seen.push(...numbersOf(events)))));
    await eventually(async () => (await pendingCount()) === 0);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(50));
  });

  it('handles its own pending entries first after a restart', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    const bus = openBus({ consumer: 'me', claimIdleMs: 60_000 });
    await publishAll(bus, topic, 10);
    await readAndDie('me', 5);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 10);
    expect(seen).toEqual(upTo(10));
  });

  it('acknowledges and counts entries that were deleted before they were handled', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    const metrics = new Registry();
    const bus = openBus({ metrics, consumer: 'me' });
    await publishAll(bus, topic, 6);
    await readAndDie('me', 3);
    await readAndDie('dead', 3);
    await redis.xtrim(topic.name, 'MAXLEN', 0);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    // Counted when the acknowledgement's answer has arrived, a moment after Redis has it.
    await eventually(async () => (await metrics.getSingleMetricAsString('bus_consumed_total')).includes('result="deleted"} 6'));
    expect(await pendingCount()).toBe(0);
  });

  it('parks only the culprit where a handler exits the process each time', async () => {
    await publishAll(openBus(), topic, 20);
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    const program = new URL('fatal-consumer.ts', import.meta.url).pathname;
    for (let start = 0; start < 12 && (await redis.xlen(`${topic.name}:dlq:g`)) === 0; start += 1) {
      const child = spawn(process.execPath, [program, url, topic.name], { stdio: 'ignore' });
      await once(child, 'exit');
    }
    const letters = asEntries(await redis.xrange(`${topic.name}:dlq:g`, '-', '+')).map(({ fields }) => asFields(fields));
    expect(letters).toHaveLength(1);
    expect(letters[0]?.get('data')).toBe('{"key":"k7","n":7}');
    expect(letters[0]?.get('attempts')).toBe('5');
    expect(Object.keys(await redis.hgetall(`${topic.name}:effects`))).toHaveLength(19);
    expect(await pendingCount()).toBe(0);
    await redis.unlink(`${topic.name}:ids`, `${topic.name}:effects`, `${topic.name}:handlings`);
  });

  it('has one effect where a process dies after the effect and before the acknowledgement', async () => {
    await publishAll(openBus(), topic, 20);
    const program = new URL('fatal-consumer.ts', import.meta.url).pathname;
    for (let start = 0; start < 2; start += 1) await once(spawn(process.execPath, [program, url, topic.name, 'after'], { stdio: 'ignore' }), 'exit');
    expect(await redis.hgetall(`${topic.name}:effects`)).toEqual(Object.fromEntries(upTo(20).map((n) => [String(n), '1'])));
    expect(Number(await redis.get(`${topic.name}:handlings`))).toBeGreaterThan(1);
    expect(await pendingCount()).toBe(0);
    await redis.unlink(`${topic.name}:ids`, `${topic.name}:effects`, `${topic.name}:handlings`, `${topic.name}:deaths`);
  });

  it('tells of a heartbeat once what was before it is acknowledged', async () => {
    const bus = openBus({});
    await bus.publish(topic, numbered(10));
    await redis.xadd(topic.name, '*', 'event_type', 'heartbeat', 'timestamp', '2026-11-21T10:00:00.000000Z');
    const told: { timestamp: string; handled: number }[] = [];
    let handled = 0;
    await bus.subscribe(topic, { group: 'g', batchSize: 4, onHeartbeat: (timestamp) => void told.push({ timestamp, handled }) }, async (events) => {
      await Promise.resolve();
      handled += events.length;
    });
    await eventually(() => told.length > 0);
    expect(told).toEqual([{ timestamp: '2026-11-21T10:00:00.000000Z', handled: 10 }]);
    expect((await bus.lag(topic, 'g')).messages).toBe(0);
  });

  it('writes dead letters with their reason, origin, handlings and the payload\'s own fields', async () => {
    const bus = openBus({ consumer: 'me' });
    await bus.publish(topic, numbered(1));
    const id = await redis.xadd(topic.name, '*', 'event_type', 'created', 'data', '{', 'id', 'broken');
    await redis.xadd(topic.name, '*', 'event_type', 'created', 'data', '{"key":"k","n":2}', 'schema', '2');
    await redis.xadd(topic.name, '*', 'event_type', 'renamed', 'data', '{}');
    await redis.xadd(topic.name, '*', 'event_type', 'heartbeat', 'timestamp', new Date().toISOString());
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    const letters = asEntries(await redis.xrange(`${topic.name}:dlq:g`, '-', '+')).map(({ fields }) => Object.fromEntries(asFields(fields)));
    expect(letters.map((letter) => letter['reason'])).toEqual(['unparsable: data is not JSON', 'newer schema version 2']);
    expect(letters[0]).toEqual({
      reason: 'unparsable: data is not JSON', source_id: id, group: 'g', consumer: 'me', attempts: '1', first_seen: expect.any(String), last_seen: expect.any(String),
      event_type: 'created', data: '{', id: 'broken',
    });
    expect(seen).toEqual([0]);
  });

  it('cuts dead letters older than 30 days when another one comes, and counts and logs them', async () => {
    const metrics = new Registry();
    const errors: string[] = [];
    const log = { info: () => undefined, warn: () => undefined, error: (_fields: object, message: string) => void errors.push(message) };
    const bus = openBus({ metrics, logger: log });
    const old = redis.pipeline();
    for (let n = 1; n <= 500; n += 1) old.xadd(`${topic.name}:dlq:g`, `${Date.now() - 31 * 86_400_000}-${n}`, 'reason', 'old');
    await old.exec();
    await redis.xadd(topic.name, '*', 'event_type', 'created', 'data', '{');
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    const left = await redis.xlen(`${topic.name}:dlq:g`);
    expect(left).toBeLessThan(200);
    expect(await metrics.getSingleMetricAsString('bus_dead_letters_dropped_total')).toContain(`group="g"} ${501 - left}`);
    expect(await metrics.getSingleMetricAsString('bus_dead_lettered_total')).toContain('group="g"} 1');
    expect(errors).toContain('dead letters are full: the oldest were dropped');
  });

  it('creates a group that is gone again, bootstraps, and reads from the start', async () => {
    const bus = openBus();
    const log: string[] = [];
    await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await publishAll(bus, topic, 1);
    await eventually(() => log.includes('event 0'));
    await redis.del(topic.name);
    await publishAll(bus, topic, 1, 1);
    await eventually(() => log.includes('event 1'));
    expect(log).toEqual(['export', 'event 0', 'export', 'event 1']);
  });

  it('runs a bootstrap again that was cut short or failed, before the first event', async () => {
    const log: string[] = [];
    await publishAll(openBus(), topic, 1);
    const first = openBus({ consumer: 'me' });
    const never = new Promise<void>(() => undefined);
    await first.subscribe(topic, { group: 'g', onGroupCreated: () => (log.push('cut short'), never) }, async () => void log.push('event'));
    await eventually(() => log.length === 1);
    await first.close();
    let failures = 1;
    const onGroupCreated = async (): Promise<void> => {
      log.push('export');
      if (failures-- > 0) throw new Error('export is not reachable');
    };
    await openBus({ consumer: 'other' }).subscribe(topic, { group: 'g', onGroupCreated }, async () => void log.push('event'));
    await eventually(() => log.includes('event'));
    expect(log).toEqual(['cut short', 'export', 'export', 'event']);
  });

  it('bootstraps once for several consumers that start together', async () => {
    const log: string[] = [];
    await publishAll(openBus(), topic, 10);
    await Promise.all(
      ['a', 'b', 'c'].map((consumer) => openBus({ consumer }).subscribe(topic, { group: 'g', onGroupCreated: async () => void log.push('export') }, async (events) => void log.push(...events.map(() => 'event')))),
    );
    await eventually(() => log.length === 11);
    expect(log.indexOf('export')).toBe(0);
    expect(log.lastIndexOf('export')).toBe(0);
  });

  it('leaves no notes behind of entries that were acknowledged elsewhere while their consumer died', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    const notes = `${topic.name}:attempts:g`;
    await publishAll(openBus(), topic, 1);
    await readAndDie('dead', 1);
    const [held] = asEntries(await redis.xrange(topic.name, '-', '+'));
    await redis.hset(notes, '1-1', '0', held?.id ?? '', '0');
    await openBus({ consumer: 'me', claimIdleMs: 20_000, forgetConsumersMs: 100 }).subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => (await redis.hlen(notes)) === 1);
    expect(await redis.hkeys(notes)).toEqual([held?.id]);
  });

  it('stop strands nothing: what was read is handled and acknowledged, however often a consumer is stopped while it waits', async () => {
    const bus = openBus({ claimIdleMs: 600_000, blockMs: 60_000 });
    const stops = process.env['TEST_SCALE'] === 'full' ? 300 : 60;
    const seen: number[] = [];
    for (let stop = 0; stop < stops; stop += 1) {
      const subscription = await bus.subscribe(topic, { group: 'g', batchSize: 3 }, async (events) => void seen.push(...numbersOf(events)));
      await Promise.all([publishAll(bus, topic, 7, stop * 7), subscription.close()]);
      expect(await pendingCount()).toBe(0);
    }
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === stops * 7);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(stops * 7));
  });

  it('keeps the name of a consumer over restarts', async () => {
    const bus = openBus({ consumer: 'me' });
    for (let restart = 0; restart < 30; restart += 1) await (await bus.subscribe(topic, { group: 'g' }, async () => undefined)).close();
    await (await bus.subscribe(topic, { group: 'g' }, async () => undefined)).close();
    await publishAll(bus, topic, 1);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    expect(asList(await redis.xinfo('CONSUMERS', topic.name, 'g'))).toHaveLength(1);
  });
});

describe('lag', () => {
  it('counts what is pending and unread, also after trims and deletions', async () => {
    const bus = openBus();
    expect(await bus.lag(topic, 'g')).toEqual({ messages: 0, oldestAgeMs: 0, deadLetters: 0 });
    await publishAll(bus, topic, 20);
    expect((await bus.lag(topic, 'g')).messages).toBe(20);
    await redis.xgroup('CREATE', topic.name, 'g', '0');
    const ids = asEntries(await redis.xrange(topic.name, '-', '+')).map(({ id }) => id);
    await readAndDie('c', 10);
    await redis.xack(topic.name, 'g', ...ids.slice(0, 4));
    expect((await bus.lag(topic, 'g')).messages).toBe(16);
    await redis.xdel(topic.name, ids[15] ?? '', ids[17] ?? '');
    expect((await bus.lag(topic, 'g')).messages).toBe(14);
    await redis.xtrim(topic.name, 'MINID', ids[12] ?? '');
    expect((await bus.lag(topic, 'g')).messages).toBe(6 + 6);
    expect((await bus.lag(topic, 'g')).oldestAgeMs).toBeGreaterThanOrEqual(0);
    await readAndDie('c', 100);
    await redis.xack(topic.name, 'g', ...ids);
    expect(await bus.lag(topic, 'g')).toEqual({ messages: 0, oldestAgeMs: 0, deadLetters: 0 });
  });
});

describe('trimAcknowledged', () => {
  it('removes only what every group has acknowledged, and keeps as many as asked', async () => {
    const bus = openBus();
    await publishAll(bus, topic, 2_000);
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(0);
    for (const group of ['g', 'h']) await redis.xgroup('CREATE', topic.name, group, '0');
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(0);
    const ids = asEntries(await redis.xrange(topic.name, '-', '+')).map(({ id }) => id);
    await readAndDie('c', 2_000);
    await redis.xack(topic.name, 'g', ...ids.filter((_id, index) => index !== 1_500));
    await redis.xreadgroup('GROUP', 'h', 'c', 'COUNT', 1_800, 'NOACK', 'STREAMS', topic.name, '>');
    expect(await bus.trimAcknowledged(topic, { keep: 900 })).toBe(1_100);
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(400);
    expect(asEntries(await redis.xrange(topic.name, '-', '+', 'COUNT', 1))[0]?.id).toBe(ids[1_500]);
    await redis.xack(topic.name, 'g', ids[1_500] ?? '');
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(300);
    expect(sorted([await redis.xlen(topic.name)])).toEqual([200]);
  });
});
});
