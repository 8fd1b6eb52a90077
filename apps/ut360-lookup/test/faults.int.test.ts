import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sampleSubscriber } from '@millrace/sample-subscribers';
import { readPointer, rollBack, underLoadLock } from '@millrace/subscribers';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import { rebuildIndex } from '../src/rebuild-index.ts';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 400;
const isdns = Array.from({ length: COUNT }, (_none, at) => sampleSubscriber(at).isdn);
/** The two loads differ in the newest month, and so in every ARPU. */
const monthsOf = (body: Record<string, unknown>): Set<unknown> => new Set(Array.isArray(body['data']) ? body['data'].map((one: { arpu: { month: string }[] }) => one.arpu.at(-1)?.month) : []);
const freshness = z.object({ profile: z.object({ generation: z.number() }) });
const oneSchema = z.object({ arpu: z.array(z.object({ month: z.string() })), freshness }).transform((one) => ({ month: one.arpu.at(-1)?.month ?? '', generation: one.freshness.profile.generation }));
const listSchema = z
  .object({ data: z.array(z.object({ profile: z.object({ topup: z.object({ last_date: z.string().nullable() }) }) })), freshness })
  .transform((list) => ({ months: [...new Set(list.data.flatMap(({ profile }) => profile.topup.last_date?.slice(0, 7) ?? []))], generation: list.freshness.profile.generation }));
const generationsOf = (body: Record<string, unknown>): unknown => body['freshness'];

describe('lookups, when a store fails', () => {
  let plane: Plane;
  let instance: Instance;
  const find = (at: number): ReturnType<Instance['call']> => instance.call('GET', `/api/ut360/subscribers/${encodeURIComponent(isdns[at] ?? '')}`);
  beforeEach(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    instance = await plane.startInstance();
  });
  afterEach(() => plane.close());

  it('are answered by Postgres while Redis is away or hangs, and by Redis again when it is back', async () => {
    const expected = sampleSubscriber(5).recommendation;
    expect((await find(5)).body).toMatchObject({ recommendation: expected, freshness: { profile: { source: 'redis' } } });
    plane.redis.pause();
    expect((await find(5)).body).toMatchObject({ recommendation: expected, freshness: { profile: { source: 'postgres' } } });
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5')).status).toBe(200);
    plane.redis.resume();
    await eventually(async () => JSON.stringify((await find(5)).body['freshness']).includes('redis'));
    await plane.redis.kill();
    expect((await find(5)).body).toMatchObject({ recommendation: expected, freshness: { profile: { source: 'postgres' } } });
    expect((await instance.call('GET', '/api/ut360/clusters/3?limit=5')).status).toBe(200);
    // Empty: this server keeps nothing.
    await plane.redis.restart();
    await eventually(async () => {
      await instance.housekeeping.check();
      return JSON.stringify((await find(5)).body['freshness']).includes('redis');
    });
    expect((await find(6)).body).toMatchObject({ recommendation: sampleSubscriber(6).recommendation, freshness: { profile: { source: 'redis' } } });
  });

  it('are answered by Redis while Postgres is away, and refused with 503 where both are', async () => {
    plane.postgresTunnel.drop(true);
    expect((await find(5)).body).toMatchObject({ recommendation: sampleSubscriber(5).recommendation, freshness: { profile: { source: 'redis' } } });
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5')).body).toMatchObject({ total: expect.any(Number) });
    await plane.redis.kill();
    expect((await find(5)).body).toMatchObject({ code: 'unavailable' });
    plane.postgresTunnel.drop(false);
    expect((await find(5)).status).toBe(200);
  });

  it('are refused in time where Postgres hangs, and found again with the next question after it', async () => {
    const patient = await plane.startInstance({ UT360_QUERY_TIMEOUT_MS: '1000' });
    const absent = (at: number): Promise<number> => Promise.race([patient.call('GET', `/api/ut360/subscribers/nobody-of-this-name-${at}`).then(({ status }) => status), delay(60_000, 0, { ref: false })]);
    await eventually(async () => (await absent(0)) === 404);
    plane.postgresTunnel.swallow(true);
    // More than there are connections.
    expect(await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(absent))).toEqual(Array.from({ length: 8 }, () => 503));
    plane.postgresTunnel.swallow(false);
    await eventually(async () => (await absent(9)) === 404);
    plane.postgresTunnel.drop(true);
    plane.postgresTunnel.drop(false);
  });

  it('go on while Redis is flushed under them, and Redis is written again', async () => {
    await plane.stores.redis.flushall();
    expect((await find(5)).body).toMatchObject({ recommendation: sampleSubscriber(5).recommendation });
    await eventually(async () => JSON.stringify((await find(5)).body['freshness']).includes('redis'));
    await instance.housekeeping.check();
    expect((await plane.repair()).problems).toEqual([]);
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5')).body).toMatchObject({ freshness: { profile: { source: 'redis' } } });
  });

  it('fill an index that is absent or short, and list from Postgres meanwhile', async () => {
    const key = plane.stores.keys.subscribers(1).service('DATA_ADVANCE');
    const before = (await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=30')).body;
    const size = await plane.stores.redis.zcard(key);
    await plane.stores.redis.zpopmax(key, 10);
    const meanwhile = (await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=30')).body;
    expect(meanwhile['data']).toEqual(before['data']);
    await eventually(async () => {
      await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=30');
      return (await plane.stores.redis.zcard(key)) === size;
    });
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=30')).body['data']).toEqual(before['data']);
  });

  it('leave no index of a generation that is gone, whoever still knows of it, and tell the age of the pointer', async () => {
    const gone = instance.pointer.current;
    await plane.load({ count: COUNT, lastMonth: '2026-11' });
    await plane.stores.redis.unlink(...(await plane.stores.redis.keys(`ut360:${gone.redis}:*`)));
    expect(await rebuildIndex({ ...plane.stores, isErased: () => false }, gone, { kind: 'service', value: 'DATA_ADVANCE' })).toBe(0);
    expect(await plane.stores.redis.keys(`ut360:${gone.redis}:*`)).toEqual([]);
    expect((await readPointer(plane.stores.pool)).redis).toBe(gone.redis + 1);
    await plane.stores.pool.query(`update ut360.pointer set switched_at = now() - interval '8 days', version = version + 1`);
    await instance.pointer.refresh();
    // The alarm is at 604,800 seconds.
    expect(await instance.gauge('ut360_pointer_age_seconds')).toBeGreaterThan(604_800);
  });

  it('give answers of one generation each, through reloads and a rollback, with misses and fills', async () => {
    const stopping = new AbortController();
    const seen = new Set<string>();
    const mixed: unknown[] = [];
    const ask = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        const { status, body } = await instance.call('POST', '/api/ut360/lookup', { isdns: [...isdns, 'nobody-of-this-name'], months: 1 });
        const months = monthsOf(body);
        seen.add(JSON.stringify([...months]));
        if (status !== 200 || months.size !== 1 || !Array.isArray(body['data']) || body['data'].length !== COUNT) mixed.push([status, [...months], generationsOf(body)]);
        // Misses, and so fills.
        const victims = isdns.filter((_isdn, at) => at % 41 === 0).map((isdn) => plane.stores.keys.subscribers(instance.pointer.current.redis).body(isdn));
        await plane.stores.redis.unlink(...victims);
      }
    };
    // One subscriber, and lists: profiles tell of the newest month, too, and freshness says which load it was.
    const loads = new Map([['2026-10', 1], ['2026-11', 2], ['2026-12', 3]]);
    const askOthers = async (): Promise<void> => {
      for (let at = 0; !stopping.signal.aborted; at = (at + 1) % COUNT) {
        const one = await find(at);
        const { month, generation } = one.status === 200 ? oneSchema.parse(one.body) : { month: '', generation: one.status };
        if (generation !== loads.get(month)) mixed.push([month, generation]);
        const { status, body } = await instance.call('GET', at % 2 === 0 ? '/api/ut360/services/DATA_ADVANCE/top?limit=50' : '/api/ut360/clusters/3?limit=50');
        const list = status === 200 ? listSchema.parse(body) : { months: [], generation: 0 };
        if (list.months.length === 0 || list.months.some((known) => loads.get(known) !== list.generation)) mixed.push([status, list]);
      }
    };
    const asking = [ask(), ask(), askOthers()];
    for (const lastMonth of ['2026-11', '2026-12']) await plane.load({ count: COUNT, lastMonth, seed: 1 });
    await underLoadLock(plane.stores.pool, (client) => rollBack(client, plane.stores.redis, plane.stores.keys));
    await eventually(() => seen.has('["2026-11"]'));
    await eventually(() => instance.pointer.current.last_month === '2026-11');
    stopping.abort();
    await Promise.all(asking);
    expect(mixed).toEqual([]);
    expect(seen.size).toBeGreaterThan(1);
  });
});
