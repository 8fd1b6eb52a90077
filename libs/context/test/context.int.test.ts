import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createMemoryBus, decodeEntry, encodeEvent, repartition } from '@millrace/bus';
import type { EventPublisher } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { NewInteraction } from '@millrace/contracts';
import { asEntries, asList, closeRedis, connectRedis, createKeys, isCluster, keysFor, whenReady } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { eventually, startRedisCluster, startRedisServer, uniqueName } from '@millrace/testing';
import { announceErasures, createContextWriter, createPublishedContextWriter, eraseContext, mergeContext, readContext, setMergedInto } from '../src/index.ts';
import type { ContextWriterOptions } from '../src/index.ts';

interface Given {
  readonly asin?: string;
  readonly at?: number;
  readonly category?: string | null;
  readonly type?: NewInteraction['type'];
  readonly id?: string;
}

/** As the door makes them. */
const eventOf = (userId: string, { asin = 'A', at = Date.now(), category = 'Audio', type = 'view', id = uniqueName('e') }: Given = {}): NewInteraction => ({
  type, user_id: userId, asin, month: new Date(at).toISOString().slice(0, 7), category, brand: null, metadata: { page: 'detail' },
  meta: { id, timestamp: new Date(at).toISOString() },
});

const MINUTE_MS = 60_000;

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

describe.each([
  { name: 'one Redis', start: (): Promise<Server> => startRedisServer() },
  { name: 'a cluster', start: async (): Promise<Server> => startRedisCluster() },
])('the live context on $name', ({ start }) => {
  let server: Server;
  let redis: Redis;
  let keys: Keys;
  const flush = () => Promise.all(isCluster(redis) ? redis.nodes('master').map((node) => node.flushall()) : [redis.flushall()]);
  beforeAll(async () => {
    server = await start();
    redis = connectRedis(server.url, { role: 'background', name: 'context test' });
    keys = keysFor(server.url);
    await whenReady(redis);
  });
  beforeEach(flush);
  afterAll(async () => {
    await closeRedis(redis);
    await server.stop();
  });
  const open = (more: Partial<ContextWriterOptions> = {}) => createContextWriter({ redis, keys, ttlSeconds: 900, ...more });
  const entries = async () => asEntries(await redis.call('XRANGE', [keys.topic(interactions.name).stream, '-', '+']));

  it('appends what the bus itself would, and readers of the bus read it', async () => {
    const event = eventOf('123', { type: 'purchase' });
    expect(await open().write([event])).toEqual([{ outcome: 'live', userId: '123' }]);
    const [entry] = await entries();
    expect(entry?.fields).toEqual(encodeEvent(interactions, event));
    expect(decodeEntry(interactions, entry ?? { id: '', fields: [] })).toMatchObject({ kind: 'event', event: { user_id: '123', asin: 'A', type: 'purchase' } });
  });

  it('knows of an event in the very next read', async () => {
    const at = Date.now();
    await open().write([eventOf('7', { asin: 'P-1', at, category: 'Audio', type: 'purchase' }), eventOf('7', { asin: 'P-2', at, category: null })]);
    const context = await readContext(redis, keys, '7');
    expect(context.recentItems.map(({ asin }) => asin)).toEqual(['P-2', 'P-1']);
    expect(context.recentPurchases.map(({ asin }) => asin)).toEqual(['P-1']);
    expect([...context.recentCategories]).toEqual([['Audio', 1]]);
    expect(context.lastActive).toBeGreaterThanOrEqual(at);
  });

  it('keeps users apart whose ids are made of braces', async () => {
    const ids = ['}', '}x', '{', '{}', '{}x', '}}', '_}', '{x}'];
    await open().write(ids.map((id, n) => eventOf(id, { asin: `P-${n}` })));
    const found = await Promise.all(ids.map(async (id) => (await readContext(redis, keys, id)).recentItems.map(({ asin }) => asin)));
    expect(found).toEqual(ids.map((_id, n) => [`P-${n}`]));
  });

  it('never moves back by an event that comes late, and leaves out one that is older than it keeps', async () => {
    const now = Date.now();
    const writer = open();
    await writer.write([eventOf('7', { asin: 'new', at: now })]);
    const late = await writer.write([
      eventOf('7', { asin: 'late', at: now - MINUTE_MS }), eventOf('7', { asin: 'new', at: now - 2 * MINUTE_MS }), eventOf('7', { asin: 'too late', at: now - 16 * MINUTE_MS, category: 'Old' }),
    ]);
    expect(late.map(({ outcome }) => outcome)).toEqual(['live', 'live', 'old']);
    const context = await readContext(redis, keys, '7');
    expect(context.recentItems).toEqual([{ asin: 'new', at: now }, { asin: 'late', at: now - MINUTE_MS }]);
    expect(context.lastActive).toBe(now);
    expect(context.recentCategories.has('Old')).toBe(false);
    expect(await entries()).toHaveLength(4);
  });

  it('ends so long after its newest event, by the time of the event', async () => {
    await open().write([eventOf('7', { at: Date.now() - 10 * MINUTE_MS })]);
    const { recentItems, recentCategories, lastActive } = keys.user('7');
    for (const key of [recentItems, recentCategories, lastActive]) {
      const left = await redis.pttl(key);
      expect(left).toBeGreaterThan(4 * MINUTE_MS);
      expect(left).toBeLessThanOrEqual(5 * MINUTE_MS);
    }
  });

  it('keeps 20 items, each once, and 50 categories, and gives up a small count first', async () => {
    const now = Date.now();
    const writer = open();
    for (let n = 0; n < 60; n += 1) await writer.write([eventOf('7', { asin: `P-${n % 30}`, at: now - 1_000 + n, category: `C-${n}` }), ...(n === 0 ? [eventOf('7', { asin: 'P-0', at: now - 1_000, category: 'C-0' })] : [])]);
    const { recentItems, recentCategories } = await readContext(redis, keys, '7');
    expect(recentItems.map(({ asin }) => asin)).toEqual(Array.from({ length: 20 }, (_, n) => `P-${29 - n}`));
    expect(recentCategories.size).toBe(50);
    expect(recentCategories.get('C-0')).toBe(2);
    expect(recentCategories.get('C-59')).toBe(1);
  });

  it('does nothing a second time for the same event id, from any instance', async () => {
    const event = eventOf('7');
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => open().write([event])));
    expect(outcomes.flat().filter(({ outcome }) => outcome === 'live')).toHaveLength(1);
    expect(outcomes.flat().filter(({ outcome }) => outcome === 'duplicate')).toHaveLength(4);
    expect(await entries()).toHaveLength(1);
    expect([...(await readContext(redis, keys, '7')).recentCategories]).toEqual([['Audio', 1]]);
  });

  it('leaves one event on a bus of its own whose answer was lost, when its producer sends it again', async () => {
    const bus = createMemoryBus();
    let isLost = true;
    const unclear: EventPublisher = {
      async publish(topic, events) {
        await bus.publish(topic, events);
        if (isLost) throw new Error('the answer was lost');
      },
    };
    const writer = createPublishedContextWriter({ redis, keys, ttlSeconds: 900, bus: unclear });
    const event = eventOf('7');
    await expect(writer.write([event])).rejects.toThrow('the answer was lost');
    isLost = false;
    expect(await writer.write([event])).toEqual([{ outcome: 'live', userId: '7' }]);
    expect(bus.lag(interactions, 'g')).toEqual({ messages: 1 });
    expect([...(await readContext(redis, keys, '7')).recentCategories]).toEqual([['Audio', 1]]);
  });

  it('rejects contexts that Redis does not take back, and writes them when they come again', async () => {
    const { restore } = createPublishedContextWriter({ redis, keys, ttlSeconds: 900, bus: createMemoryBus() });
    const scripts = (rule: '+' | '-') => Promise.all((isCluster(redis) ? redis.nodes('master') : [redis]).map((node) => node.call('ACL', 'SETUSER', 'default', `${rule}evalsha`, `${rule}eval`)));
    const event = eventOf('7');
    await scripts('-');
    try {
      await expect(restore.write([event])).rejects.toThrow('NOPERM');
    } finally {
      await scripts('+');
    }
    expect(await restore.write([event])).toEqual([{ outcome: 'live', userId: '7' }]);
    expect((await readContext(redis, keys, '7')).recentItems.map(({ asin }) => asin)).toEqual(['A']);
  });

  it('forgets event ids after their time', async () => {
    const writer = open({ dedupMs: 20 });
    await writer.write(Array.from({ length: 30 }, () => eventOf('7')));
    await eventually(async () => {
      await writer.forgetOldIds();
      return (await redis.zcard(keys.topic(interactions.name).recentIds)) === 0;
    });
  });

  it('goes along when the topic is given other partitions', async () => {
    const writer = open();
    await writer.write([eventOf('before')]);
    await repartition(redis, keys, interactions.name, 3);
    const users = Array.from({ length: 20 }, (_, n) => `u${n}`);
    expect((await writer.write(users.map((user) => eventOf(user)))).map(({ outcome, userId }) => [outcome, userId])).toEqual(users.map((user) => ['live', user]));
    const layout = Array.from({ length: 8 }, (_, partition) => keys.topic(interactions.name, partition, 3).stream);
    const lengths = await Promise.all(layout.map((stream) => redis.xlen(stream)));
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeGreaterThanOrEqual(20);
    expect(lengths.filter((length) => length > 0).length).toBeGreaterThanOrEqual(3);
  });

  it('says that the stream was lost when Redis comes back without it', async () => {
    let lost = 0;
    const writer = open({ onLost: () => void (lost += 1) });
    await writer.write([eventOf('7')]);
    expect(lost).toBe(0);
    await flush();
    expect((await writer.write([eventOf('7')]))[0]?.outcome).toBe('live');
    expect(lost).toBe(1);
  });

  it('appends nothing of an erased user, in no writer that does not know of the erasure yet', async () => {
    const told: string[] = [];
    const recorded = new Set<string>();
    const known = new Set<string>();
    const writer = open({ erased: { has: (id) => known.has(id), refresh: async () => {
      told.push('refreshed');
      for (const id of recorded) known.add(id);
    } } });
    await writer.write([eventOf('gone'), eventOf('stays')]);
    recorded.add('gone');
    expect(await announceErasures(redis, keys, 1)).toBe(1);
    expect(await announceErasures(redis, keys, 1)).toBe(0);
    expect(await eraseContext(redis, keys, 'gone')).toBeGreaterThan(0);
    expect(await writer.write([eventOf('stays'), eventOf('gone')])).toEqual([{ outcome: 'live', userId: 'stays' }, { outcome: 'erased', userId: 'gone' }]);
    await writer.write([eventOf('gone')]);
    expect(told).toEqual(['refreshed']);
    expect((await readContext(redis, keys, 'gone')).lastActive).toBeUndefined();
    expect(await entries()).toHaveLength(3);
  });

  it('leads events and reads of a merged id to the one that it became, with what was known of it', async () => {
    const writer = open();
    const now = Date.now();
    await writer.write([eventOf('anon:1', { asin: 'A', at: now - 2_000, category: 'Audio' }), eventOf('7', { asin: 'B', at: now - 1_000, category: 'Audio' })]);
    await setMergedInto(redis, keys, { from: 'anon:1', to: '7' });
    for (let time = 0; time < 2; time += 1) await mergeContext(redis, keys, { from: 'anon:1', to: '7', ttlSeconds: 900 });
    await writer.write([eventOf('anon:1', { asin: 'C', at: now })]);
    const context = await readContext(redis, keys, 'anon:1');
    expect(context.userId).toBe('7');
    expect(context.recentItems.map(({ asin }) => asin)).toEqual(['C', 'B', 'A']);
    expect([...context.recentCategories]).toEqual([['Audio', 3]]);
    expect(asList(await redis.call('ZRANGE', [keys.user('anon:1').recentItems, '0', '-1']))).toEqual([]);
  });

  it('ends a merge that failed half way when it is repeated', async () => {
    await open().write([eventOf('anon:1', { asin: 'A', category: 'Audio' })]);
    await setMergedInto(redis, keys, { from: 'anon:1', to: '7' });
    await redis.set(keys.user('7').recentItems, 'text');
    const merge = (): Promise<void> => mergeContext(redis, keys, { from: 'anon:1', to: '7', ttlSeconds: 900 });
    await expect(merge()).rejects.toThrow('WRONGTYPE');
    await redis.unlink(keys.user('7').recentItems);
    await merge();
    const context = await readContext(redis, keys, '7');
    expect(context.recentItems.map(({ asin }) => asin)).toEqual(['A']);
    expect([...context.recentCategories]).toEqual([['Audio', 1]]);
  });

  it('does nothing for an event that comes again after its user was merged, whatever the partition', async () => {
    await open({ partitions: 5 }).write([eventOf('first')]);
    const users = Array.from({ length: 10 }, (_, n) => `anon:${n}`);
    const events = users.map((user) => eventOf(user));
    const writer = open();
    await writer.write(events);
    for (const from of users) await setMergedInto(redis, keys, { from, to: '7' });
    expect((await writer.write(events)).map(({ outcome }) => outcome)).toEqual(users.map(() => 'duplicate'));
    expect((await writer.write([eventOf('anon:1')]))[0]?.outcome).toBe('live');
  });

  it('still logs the events of a user whose keys are of another kind', async () => {
    await redis.set(keys.user('7').recentItems, 'text');
    expect((await open().write([eventOf('7'), eventOf('8')])).map(({ outcome }) => outcome)).toEqual(['broken', 'live']);
    expect(await redis.call('DBSIZE')).toBeGreaterThan(0);
  });
});

it('is empty for a user of whom nothing is known', async () => {
  const server = await startRedisServer();
  const redis = connectRedis(server.url, { role: 'background', name: 'context test' });
  const context = await readContext(redis, createKeys(), 'nobody');
  await closeRedis(redis);
  await server.stop();
  expect(context).toEqual({ userId: 'nobody', recentItems: [], recentPurchases: [], recentCategories: new Map(), lastActive: undefined });
});
