import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { eventually, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createRedisBusAdmin, createRedisStreamsBus, defineTopic, FinalError } from '../src/index.ts';
import type { BusAdmin, RedisStreamsBus, RedisStreamsBusOptions } from '../src/index.ts';
import { createTestTopic, numbersOf, publishAll, sorted, upTo } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';
import { servers } from './servers.ts';

let url: string;
const keys = createKeys();
let redis: Redis;
let topic: TestTopic;
let admin: BusAdmin;
let bus: RedisStreamsBus;
const page = { limit: 100 };
const openBus = (more: Partial<RedisStreamsBusOptions> = {}): RedisStreamsBus => createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'admin test' }), claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, ...more });
const unknownId = (): string => `${topic.name}~bare~g~1-1`;

describe.each(servers)('on $name', ({ address }) => {
beforeEach(() => {
  url = address;
  redis = connectRedis(url, { role: 'background', name: 'admin test' });
  topic = createTestTopic();
  admin = createRedisBusAdmin({ redis, keys, topics: [topic] });
  bus = openBus();
});
afterEach(async () => {
  await bus.close();
  const left = await redis.keys(`${topic.name}*`);
  if (left.length > 0) await redis.unlink(...left);
  await closeRedis(redis);
});

/** A group whose handler refuses numbers that are multiples of `of`, for good. */
async function park(count: number, of: number, group = 'g'): Promise<number[]> {
  const done: number[] = [];
  await publishAll(bus, topic, count);
  const subscription = await bus.subscribe(topic, { group, batchSize: 10 }, async (events) => {
    if (events.some(({ n }) => n % of === 0)) throw new FinalError(`multiple of ${of}`);
    done.push(...numbersOf(events));
  });
  await eventually(async () => (await bus.lag(topic, group)).messages === 0);
  await subscription.close();
  return done;
}

describe('the trace of a key', () => {
  it('shows its last entries, newest first, and how far each group is with them', async () => {
    await park(40, 100);
    await redis.xgroup('CREATE', topic.name, 'slow', '0');
    await redis.xreadgroup('GROUP', 'slow', 'c1', 'COUNT', 20, 'STREAMS', topic.name, '>');
    const [trace] = await admin.traceKey(topic.name, 'k1', 10);
    expect(trace).toMatchObject({ stream: topic.name, partition: 0, isComplete: true });
    expect(trace?.entries.map(({ eventType, groups }) => [eventType, ...groups.map(({ group, state, consumer }) => `${group} ${state} ${consumer ?? '-'}`)])).toEqual([
      ['created', 'g acknowledged -', 'slow unread -'], ['created', 'g acknowledged -', 'slow pending c1'], ['created', 'g acknowledged -', 'slow pending c1'],
    ]);
    expect(trace?.entries.map(({ version }) => version)).toEqual([33, 17, 1]);
    expect((await admin.traceKey(topic.name, 'k1', 1))[0]).toMatchObject({ isComplete: false, entries: [{ version: 33 }] });
    expect(await admin.traceKey(topic.name, 'nobody', 10)).toMatchObject([{ entries: [], isComplete: true }]);
  });
  it('tells of an entry that failed and is put off', async () => {
    const patient = openBus({ retryBaseMs: 10_000 });
    await publishAll(patient, topic, 1);
    await patient.subscribe(topic, { group: 'g', consumer: 'me' }, async () => Promise.reject(new Error('not now')));
    const [entry] = await redis.xrange(topic.name, '-', '+');
    // Put off for longer, in one step with the look whether it is.
    await eventually(async () => (await redis.zadd(`${topic.name}:delayed:g`, 'XX', 'CH', Date.now() + 3_600_000, entry?.[0] ?? '')) === 1);
    const states = (await admin.traceKey(topic.name, 'k0', 1))[0]?.entries[0]?.groups;
    await patient.close();
    expect(states).toMatchObject([{ group: 'g', consumer: 'me', state: 'delayed' }]);
  });
  it('follows a key to the partition that it belongs to', async () => {
    await bus.publish(topic, [{ type: 'created', key: 'k1', n: 1 }]);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await admin.repartition(topic.name, 4);
    await publishAll(bus, topic, 16, 100);
    const traces = await eventually(async () => {
      const found = await admin.traceKey(topic.name, 'k1', 10);
      return found.at(-1)?.entries[0]?.groups[0]?.state === 'acknowledged' && found;
    });
    expect(traces.at(-1)?.entries.map(({ version }) => version)).toEqual([113]);
    expect(traces.at(-1)?.stream).toContain(`${topic.name}:{`);
  });
  it('knows its topics only', async () => {
    await expect(admin.traceKey('nope', 'k', 1)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('topics', () => {
  it('shows every group of a topic: what is unread, pending, put off and parked, and its consumers', async () => {
    await park(20, 10);
    await redis.xgroup('CREATE', topic.name, 'new', '0');
    await redis.xreadgroup('GROUP', 'new', 'c1', 'COUNT', 5, 'STREAMS', topic.name, '>');
    const [state] = await admin.topics();
    expect(state).toMatchObject({ topic: topic.name, partitions: 1 });
    const [stream] = state?.streams ?? [];
    expect(stream).toMatchObject({ stream: topic.name, partition: 0, isDraining: false, length: 20 });
    expect(stream?.bytes).toBeGreaterThan(100);
    expect(stream?.groups).toEqual([
      { group: 'g', pending: 0, unread: 0, delayed: 0, oldestAgeMs: 0, deadLetters: 2, bootstrap: 'none', holder: undefined, consumers: [] },
      { group: 'new', pending: 5, unread: 15, delayed: 0, oldestAgeMs: expect.any(Number), deadLetters: 0, bootstrap: 'none', holder: undefined, consumers: [{ consumer: 'c1', pending: 5, idleMs: expect.any(Number) }] },
    ]);
  });

  it('shows a topic that nobody has used', async () => {
    expect(await admin.topics()).toEqual([{ topic: topic.name, partitions: 1, streams: [expect.objectContaining({ length: 0, groups: [] })] }]);
  });
});

describe('groups', () => {
  it('shows a topic whose old partition goes between two looks at it', async () => {
    await publishAll(bus, topic, 3);
    await redis.xgroup('CREATE', topic.name, 'g', '0');
    let isThere = true;
    const goAfter = async (stream: string): Promise<number> => {
      const found = await redis.exists(stream);
      if (isThere) isThere = (await redis.unlink(stream)) === 0;
      return found;
    };
    const racing = new Proxy(redis, { get: (target, name) => (name === 'exists' ? goAfter : Reflect.get(target, name, target)) });
    expect(await createRedisBusAdmin({ redis: racing, keys, topics: [topic] }).topics()).toEqual([expect.objectContaining({ streams: [expect.objectContaining({ stream: topic.name, length: 0, groups: [] })] })]);
  });

  it('drops a group that nobody uses, with its side keys, and tells what went', async () => {
    await publishAll(bus, topic, 10);
    await redis.xgroup('CREATE', topic.name, 'old', '0');
    expect(await admin.dropGroup('old', { dryRun: true })).toEqual([{ topic: topic.name, group: 'old', pending: 0, unread: 10 }]);
    expect(await admin.dropGroup('old')).toEqual([{ topic: topic.name, group: 'old', pending: 0, unread: 10 }]);
    await expect(admin.dropGroup('old')).rejects.toMatchObject({ code: 'not_found' });
    await expect(admin.dropGroup('old', { topic: 'nothing' })).rejects.toMatchObject({ code: 'not_found', message: expect.stringContaining(`the topics are ${topic.name}`) });
  });

  it('refuses to drop a group in use, or with dead letters, unless forced', async () => {
    await park(10, 5);
    await expect(admin.dropGroup('g')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('2 dead letters') });
    await publishAll(bus, topic, 1, 11);
    await redis.xgroup('CREATE', topic.name, 'busy', '0');
    await redis.xreadgroup('GROUP', 'busy', 'c1', 'COUNT', 1, 'STREAMS', topic.name, '>');
    await expect(admin.dropGroup('busy')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('its consumer c1') });
    for (const group of ['g', 'busy']) await admin.dropGroup(group, { force: true });
    expect((await admin.topics())[0]?.streams[0]?.groups).toEqual([]);
    expect(await redis.exists(`${topic.name}:dlq:g`)).toBe(0);
  });
});

describe('dead letters', () => {
  it('lists them page by page, by reason, key, time and group', async () => {
    const before = new Date(Date.now() - 1_000).toISOString();
    await park(40, 4);
    const all = await admin.listDeadLetters({}, page);
    expect(all.items.map(({ key }) => key)).toEqual(['k0', 'k4', 'k8', 'k12', 'k0', 'k4', 'k8', 'k12', 'k0', 'k4']);
    expect(all.items[0]).toEqual({
      id: expect.stringMatching(new RegExp(`^${topic.name}~bare~g~\\d+-\\d+$`)), topic: topic.name, partition: 0, group: 'g', reason: 'FinalError: multiple of 4', sourceId: expect.any(String),
      consumer: expect.any(String), attempts: expect.any(Number), firstSeen: expect.any(String), lastSeen: expect.any(String), eventType: 'created', eventId: expect.any(String), key: 'k0',
    });
    const pages: string[][] = [];
    for (let cursor: string | undefined, isMore = true; isMore; isMore = cursor !== undefined) {
      const { items, nextCursor } = await admin.listDeadLetters({}, { limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      pages.push(items.map(({ id }) => id));
      cursor = nextCursor;
    }
    expect(pages.map(({ length }) => length)).toEqual([4, 4, 2]);
    expect(pages.flat()).toEqual(all.items.map(({ id }) => id));
    const count = async (filter: object): Promise<number> => (await admin.listDeadLetters(filter, page)).items.length;
    expect(await count({ key: 'k4' })).toBe(3);
    expect(await count({ reason: 'MULTIPLE' })).toBe(10);
    expect(await count({ reason: 'else' })).toBe(0);
    expect(await count({ group: 'g', topic: topic.name, since: before })).toBe(10);
    expect([await count({ group: 'g', topic: topic.name, since: '0379-07-09T09:56:13Z' }), await count({ group: 'g', topic: topic.name, until: '0379-07-09T09:56:13Z' })]).toEqual([10, 0]);
    expect(await count({ until: before })).toBe(0);
    await expect(admin.listDeadLetters({ topic: 'nothing' }, page)).rejects.toMatchObject({ code: 'not_found' });
    await expect(admin.listDeadLetters({}, { limit: 1, cursor: 'x' })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('replays events with their own ids, for every group; a second time there is nothing to replay', async () => {
    await park(20, 10);
    const letters = (await admin.listDeadLetters({}, page)).items;
    expect(await admin.replayDeadLetters({ filter: {} }, { dryRun: true })).toEqual({ count: 2, missing: [] });
    expect(await admin.replayDeadLetters({ filter: { reason: 'multiple of 10' } })).toEqual({ count: 2, missing: [] });
    expect(await admin.replayDeadLetters({ filter: {} })).toEqual({ count: 0, missing: [] });
    const ids = letters.map(({ id }) => id);
    expect(await admin.replayDeadLetters({ ids })).toEqual({ count: 0, missing: ids });
    const seen: string[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events.map(({ n, meta }) => `${n} ${meta.id}`)));
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(letters.map(({ eventId }, index) => `${index * 10} ${eventId}`));
  });

  it('replays to the partition where the key belongs by now, and finds letters of partitions that are gone', async () => {
    await park(16, 3);
    await admin.repartition(topic.name, 4);
    await bus.trimAcknowledged(topic, { keep: 0 });
    expect(await redis.exists(topic.name)).toBe(0);
    expect((await admin.listDeadLetters({}, page)).items).toHaveLength(6);
    expect(await admin.replayDeadLetters({ filter: {} })).toEqual({ count: 6, missing: [] });
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g', ordering: 'key' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 6);
    expect(sorted(seen)).toEqual(upTo(16).filter((n) => n % 3 === 0));
  });

  it('count against dropping their group also where their partition is gone', async () => {
    await park(16, 4);
    await admin.repartition(topic.name, 2);
    await bus.trimAcknowledged(topic, { keep: 0 });
    await expect(admin.dropGroup('g')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('4 dead letters') });
    await admin.dropGroup('g', { force: true });
    expect(await redis.keys(`${topic.name}*dlq*`)).toEqual([]);
  });

  it('edits a payload, checked by the schema of its topic, and replays it', async () => {
    await park(5, 4);
    const [letter] = (await admin.listDeadLetters({ key: 'k4' }, page)).items;
    await expect(admin.editDeadLetter(letter?.id ?? '', { key: 'k4', n: 'four' })).rejects.toMatchObject({ code: 'invalid', pointer: '/data', message: expect.stringContaining('does not match its schema at n') });
    const edited = await admin.editDeadLetter(letter?.id ?? '', { key: 'k4', n: 5 });
    expect(edited).toMatchObject({ eventId: letter?.eventId, key: 'k4', reason: letter?.reason, fields: expect.objectContaining({ data: '{"key":"k4","n":5}' }) });
    expect(edited.id).not.toBe(letter?.id);
    await expect(admin.getDeadLetter(letter?.id ?? '')).rejects.toMatchObject({ code: 'not_found' });
    expect(await admin.getDeadLetter(edited.id)).toEqual(edited);
    expect((await admin.replayDeadLetters({ ids: [edited.id] })).count).toBe(1);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 1);
    expect(seen).toEqual([5]);
  });

  it('discards the named ones, or all that match, and says which are missing', async () => {
    await park(20, 5);
    const [first] = (await admin.listDeadLetters({}, page)).items;
    expect(await admin.discardDeadLetters({ ids: [first?.id ?? '', unknownId()] }, { dryRun: true })).toEqual({ count: 1, missing: [unknownId()] });
    expect(await admin.discardDeadLetters({ ids: [first?.id ?? ''] })).toEqual({ count: 1, missing: [] });
    expect(await admin.discardDeadLetters({ filter: { key: 'k5' } })).toEqual({ count: 1, missing: [] });
    expect(await admin.discardDeadLetters({ filter: {} })).toEqual({ count: 2, missing: [] });
    expect((await admin.listDeadLetters({}, page)).items).toEqual([]);
  });

  it.each(['nonsense', 'a~b~c~d', 'topic~bare~g~1', '~bare~g~1-1'])('refuses the id %s', async (id) => {
    await expect(admin.getDeadLetter(id)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('masks keys, payloads and quoted values of personal topics (I11)', async () => {
    const personal = defineTopic(uniqueName('personal'), { seen: z.object({ user: z.string() }) }, { schemaVersion: 1, isPersonal: true, keyField: 'user_id', keyOf: (event) => event.user });
    const logged: string[] = [];
    const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const talking = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'admin test' }), retryBaseMs: 5, logger: { info: log, warn: log, error: log } });
    await bus.publish(personal, [{ type: 'seen', user: '+84912345678' }]);
    const subscription = await talking.subscribe(personal, { group: 'g' }, async () => {
      throw new FinalError('user +84912345678 is unknown');
    });
    const tools = createRedisBusAdmin({ redis, keys, topics: [personal] });
    const [letter] = await eventually(async () => {
      const { items } = await tools.listDeadLetters({}, page);
      return items.length > 0 && items;
    });
    await subscription.close();
    await talking.close();
    expect(logged.some((line) => line.startsWith('entry parked'))).toBe(true);
    expect(logged.join('\n')).not.toContain('84912345678');
    expect(letter).toMatchObject({ key: '***', reason: 'FinalError', eventType: 'seen' });
    expect((await tools.listDeadLetters({ key: '+84912345678' }, page)).items).toEqual([]);
    expect((await tools.listDeadLetters({ reason: '84912345678' }, page)).items).toEqual([]);
    expect((await tools.listDeadLetters({ reason: 'finalerror' }, page)).items).toHaveLength(1);
    expect(JSON.stringify([letter, await tools.getDeadLetter(letter?.id ?? '')])).not.toContain('84912345678');
    await redis.unlink(...(await redis.keys(`${personal.name}*`)));
  });
});
});
