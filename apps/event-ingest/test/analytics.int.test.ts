import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startRedisCluster } from '@millrace/testing';
import { readCounts } from '../src/analytics/analytics.repository.ts';
import { countInteractions } from '../src/analytics/count-events.ts';
import { recount } from '../src/analytics/recount.ts';
import { commitSet, purgeCounts } from '../src/analytics/roll-up.repository.ts';
import { readCountSet } from '../src/analytics/unflushed.ts';
import { createInteractionStore } from '../src/interaction.repository.ts';
import { createMonthPartitions } from '../src/month-partitions.ts';
import { DAY, delivery, did, HOUR, openCounting, openCountsDatabase, retention, searched } from './analytics-kit.ts';
import type { Counting } from './analytics-kit.ts';

let database: Awaited<ReturnType<typeof openCountsDatabase>>;
beforeAll(async () => { database = await openCountsDatabase(); });
afterAll(() => database.close());
const closing: Counting[] = [];
afterEach(() => {
  for (const one of closing.splice(0)) one.close();
});
const open = async (): Promise<Counting> => {
  await database.empty();
  const counting = openCounting(database.pool);
  closing.push(counting);
  return counting;
};
const today = () => Math.floor(Date.now() / DAY) * DAY;
const some = () => [did('view'), did('view', { sku: 'b' }), did('add_to_cart'), did('purchase', { user: 'v' }), did('rate')];
const ofSome = { view: 2, add_to_cart: 1, purchase: 1, rate: 1, a: 3, b: 1 };

describe('counting by time', () => {
  it('counts each event once when a batch comes again, whole or in part, before and after a roll-up', async () => {
    const { count, flush, stored } = await open();
    const events = some();
    await count(events, delivery());
    await count(events, delivery());
    await flush();
    await count(events.slice(1, 3), delivery());
    await count([...events.slice(3), did('click')], delivery());
    await flush();
    expect(await stored()).toEqual({ ...ofSome, click: 1, a: 4 });
    expect(await stored('minute')).toMatchObject({ view: 2, click: 1 });
    expect(await stored('hour')).toEqual({ ...ofSome, click: 1, a: 4 });
  });
  it('refuses a consumer that stood still while another counted', async () => {
    const { count, flush, stored } = await open();
    const events = some();
    await Promise.allSettled([count(events, delivery()), count(events, delivery()), count(events, delivery())]);
    await count(events, delivery());
    await flush();
    expect(await stored()).toEqual(ofSome);
  });
  it('adds a set once, with roll-ups at the same time, and one that was killed after its commit', async () => {
    const { count, rollUp, flush, stored, redis, keys, pool } = await open();
    await count(some(), delivery());
    await rollUp({ settleMs: 60_000 });
    const set = await readCountSet(redis, keys.analytics('interactions', 0).sealed);
    expect(set?.deltas.length).toBeGreaterThan(0);
    // What a process does that dies before it drops the set.
    if (set) await commitSet(pool, { ...set, source: 'interactions:0', sealedAtMs: Date.now() }, retention, Date.now());
    await count([did('click')], delivery());
    await Promise.all([rollUp(), rollUp(), rollUp()]);
    await flush();
    expect(await stored()).toEqual({ ...ofSome, click: 1, a: 4 });
  });
  it('adds nothing of a roll-up that breaks off, and all of it the next time', async () => {
    const { count, rollUp, flush, stored, pool } = await open();
    await count(some(), delivery());
    await pool.query(`create function events.fail() returns trigger language plpgsql as $$ begin raise exception 'killed'; end $$`);
    await pool.query('create trigger fail before insert on events.analytics_products execute function events.fail()');
    await expect(rollUp()).rejects.toThrow('killed');
    expect(await stored()).toEqual({});
    await pool.query('drop trigger fail on events.analytics_products');
    await flush();
    expect(await stored()).toEqual(ofSome);
  });
  it('commits a set only when Redis cannot lose any more that it was sealed', async () => {
    const { count, rollUp, stored, redis, keys } = await open();
    await count(some(), delivery());
    await rollUp({ settleMs: 60_000 });
    await rollUp({ settleMs: 60_000 });
    expect(await stored()).toEqual({});
    await redis.hset(keys.analytics('interactions', 0).sealed, 'sealed_at', Date.now() - 61_000);
    await rollUp({ settleMs: 60_000 });
    expect(await stored()).toEqual(ofSome);
  });
  it('counts late events in their own hour, and those older than hours are kept in their day alone', async () => {
    const { count, flush, pool } = await open();
    const at = Date.UTC(2011, 2, 4, 5, 6);
    await count([did('purchase', { atMs: at }), did('purchase', { atMs: today() - 60 * DAY })], delivery());
    await flush();
    await count([did('purchase', { atMs: at + 1 })], delivery());
    await flush();
    const { rows } = await pool.query<{ granularity: string; bucket: string; count: number }>('select granularity, bucket::text, count from events.analytics_counts order by bucket, granularity');
    expect(rows.slice(0, 1)).toEqual([{ granularity: 'day', bucket: '2011-03-04 00:00:00+00', count: 2 }]);
    expect(rows.slice(1).map(({ granularity, count: n }) => [granularity, n])).toEqual([['hour', 1], ['day', 1]]);
  });
  it('counts nothing of what is on its way of an erased user, and goes on behind it', async () => {
    const { redis, sources, flush, stored } = await open();
    const count = countInteractions({ redis, sources, isErased: (id) => id === 'gone' });
    await count([did('view', { user: 'gone' })], delivery());
    await count([did('click', { user: 'gone' }), did('view')], delivery());
    await flush();
    expect(await stored()).toEqual({ view: 1, a: 1 });
  });
  it('counts searches, and those without hits unless the index was down', async () => {
    const { countSearches, flush, stored } = await open();
    await countSearches([searched(3), searched(0), searched(0, { degraded: true }), searched(1, { times: 5 }), searched(0, { times: 2 })], delivery());
    await flush();
    expect(await stored()).toEqual({ search: 10, search_no_hits: 3 });
  });
  it('waits, and loses nothing, while too many counts wait for Postgres', async () => {
    const { redis, sources, flush, stored } = await open();
    const count = countInteractions({ redis, sources, maxFields: 6 });
    await count([did('view', { sku: '1' }), did('view', { sku: '2' }), did('view', { sku: '3' })], delivery());
    const next = [did('view', { sku: '4' }), did('view', { sku: '5' }), did('view', { sku: '6' })];
    await expect(count(next, delivery())).rejects.toMatchObject({ code: 'unavailable' });
    await flush();
    await count(next, delivery());
    await flush();
    expect(await stored()).toEqual({ view: 6, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1 });
  });
  it('takes less than 120 bytes of Redis for a count, and 16 kB for the users of a day', async () => {
    const { count, redis, keys } = await open();
    for (let batch = 0; batch < 10; batch += 1) await count(Array.from({ length: 500 }, (_none, n) => did('purchase', { sku: `MR-${String(batch * 500 + n).padStart(8, '0')}`, user: `${batch}-${n}` })), delivery());
    const of = keys.analytics('interactions', 0);
    const bytes = async (key: string): Promise<number> => Number(await redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0));
    expect((await bytes(of.pending)) / (await redis.hlen(of.pending))).toBeLessThan(120);
    expect(await bytes(of.users(new Date().toISOString().slice(0, 10)))).toBeLessThan(16_384);
  });
  it('counts the different users of a day, over partitions', async () => {
    const { count, flush, pool } = await open();
    const users = (from: number, n: number) => Array.from({ length: n }, (_none, at) => did('view', { user: `u${from + at}` }));
    await count(users(0, 300), delivery(0));
    await count(users(0, 300), delivery(0));
    await count(users(300, 200), delivery(1));
    await flush();
    const { rows } = await pool.query<{ users: number }>('select sum(users)::bigint as users from events.analytics_users');
    expect(Math.abs((rows[0]?.users ?? 0) - 500)).toBeLessThan(15);
  });
  it('reads anew for whoever asks after a reading, where none is shared', async () => {
    const { fresh } = await open();
    const first = fresh();
    expect(fresh()).toBe(first);
    await first;
    const second = fresh();
    expect(second).not.toBe(first);
    await second;
  });
  it('reads the same numbers at any moment of a roll-up', async () => {
    const { count, rollUp, fresh, pool } = await open();
    const range = { from: today(), to: today() + DAY, stepMs: DAY, granularity: 'day' } as const;
    const seen: number[] = [];
    const look = async (): Promise<void> => {
      const { sets } = await fresh();
      seen.push((await readCounts(pool, range, sets)).get(today())?.get('view') ?? 0);
    };
    let counted = 0;
    for (let round = 0; round < 6; round += 1) {
      const atMs = today() + 1;
      await count(Array.from({ length: 50 }, (_none, n) => did('view', { atMs, sku: `s${n}` })), delivery());
      counted += 50;
      await Promise.all([rollUp(), ...Array.from({ length: 5 }, look)]);
      expect(seen.splice(0)).toEqual([counted, counted, counted, counted, counted]);
    }
  });
  it('forgets minutes and hours that are too old, and no days', async () => {
    const { count, flush, stored, pool } = await open();
    await count([did('view'), did('view', { atMs: today() - DAY })], delivery());
    await flush();
    await purgeCounts(pool, retention, Date.now() + 4 * DAY);
    expect([await stored('minute'), await stored('hour'), await stored('day')]).toEqual([{}, { view: 2 }, { view: 2, a: 2 }]);
    await purgeCounts(pool, { ...retention, daysMs: 10 * DAY }, Date.now() + 100 * DAY);
    expect([await stored('hour'), await stored('day')]).toEqual([{}, {}]);
  });
  it('works on Redis Cluster', async () => {
    const cluster = await startRedisCluster({ nodeTimeoutMs: 10_000 });
    try {
      await database.empty();
      const counting = openCounting(database.pool, { redisUrl: cluster.url, isCluster: true });
      try {
        for (const partition of [0, 1, 2]) await counting.count(some(), delivery(partition));
        await counting.countSearches([searched(1)], delivery());
        expect((await counting.fresh()).sets).toHaveLength(4);
        await counting.flush();
        expect(await counting.stored()).toEqual({ view: 6, add_to_cart: 3, purchase: 3, rate: 3, a: 9, b: 3, search: 1 });
      } finally {
        counting.close();
      }
    } finally {
      await cluster.stop();
    }
  });
});

describe('a recount', () => {
  const openLogged = async () => {
    const counting = await open();
    const store = createInteractionStore(counting.pool, createMonthPartitions(counting.pool));
    const again = (from: number, to: number) => recount({ ...counting, lagsMs: async () => [0] }, { from: new Date(from).toISOString(), to: new Date(to).toISOString() });
    return { ...counting, store, again };
  };
  it('makes counts equal to the log after Redis was flushed, and changes nothing the second time', async () => {
    const { store, again, count, flush, stored, redis, keys } = await openLogged();
    const longAgo = today() - 92 * DAY;
    const recent = Math.floor(Date.now() / HOUR) * HOUR - 2 * HOUR;
    const events = [did('view', { atMs: recent }), did('view', { atMs: recent + 1, sku: 'b' }), did('purchase', { atMs: today() - 5 * DAY }), did('rate', { atMs: longAgo })];
    await store.insert(events);
    await count(events, delivery());
    const { applied, pending } = keys.analytics('interactions', 0);
    await redis.del(applied, pending);
    const expected = { view: 2, a: 2, b: 1, purchase: 1, rate: 1 };
    expect(await again(longAgo, recent + HOUR)).toMatchObject({ added: 4, removed: 0 });
    expect(await stored()).toEqual(expected);
    expect(await stored('minute')).toEqual({ view: 2 });
    expect(await again(longAgo, recent + HOUR)).toMatchObject({ added: 0, removed: 0 });
    // What is counted and not rolled up yet is not counted twice.
    const late = did('view', { atMs: recent + 2 });
    await store.insert([late]);
    await count([late], delivery());
    expect(await again(recent, recent + HOUR)).toMatchObject({ added: 0, removed: 0 });
    await flush();
    expect(await stored()).toEqual({ ...expected, view: 3, a: 3 });
  });
  it('takes away what is not in the log, and counts the users of days that are over', async () => {
    const { store, again, count, flush, stored, pool } = await openLogged();
    const atMs = today() - 10 * DAY + 5;
    const [kept, gone] = [did('view', { atMs, user: 'x' }), did('click', { atMs, sku: 'z' })];
    await store.insert([kept]);
    await count([kept, gone], delivery());
    await flush();
    expect(await again(today() - 11 * DAY, today() - 9 * DAY)).toMatchObject({ added: 0, removed: 1 });
    expect(await stored()).toEqual({ view: 1, a: 1 });
    expect((await pool.query('select day::text, users from events.analytics_users')).rows).toEqual([{ day: new Date(atMs).toISOString().slice(0, 10), users: 1 }]);
  });
  it('refuses what it cannot do, and while events are on their way', async () => {
    const counting = await open();
    const ask = (from: string, to: string, lag = 0) => recount({ ...counting, lagsMs: async () => [lag] }, { from, to });
    await expect(ask('2026-01-02', '2026-01-01')).rejects.toMatchObject({ code: 'invalid_request', details: [{ pointer: '/from' }] });
    await expect(ask('2011-01-01T01:00:00Z', '2011-01-01T05:00:00Z')).rejects.toMatchObject({ details: [{ pointer: '/to' }] });
    await expect(ask('1999-01-01', '2011-01-01')).rejects.toMatchObject({ details: [{ pointer: '/from' }] });
    await expect(ask('2011-01-01', '2011-01-02', 61_000)).rejects.toMatchObject({ code: 'unavailable' });
  });
});
