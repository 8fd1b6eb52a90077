import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { sampleSubscriber, sampleSubscribers } from '@millrace/sample-subscribers';
import { rollBack, underLoadLock, verifyGenerations } from '@millrace/subscribers';
import { eventually, startRedisCluster } from '@millrace/testing';
import type { RedisCluster } from '@millrace/testing';
import { startPlane } from './lookup-kit.ts';
import type { Answer, Instance, Plane } from './lookup-kit.ts';

const COUNT = 300;
const isdns = Array.from({ length: COUNT }, (_none, at) => sampleSubscriber(at).isdn);
const sources = ({ body }: Answer): string => JSON.stringify(body['freshness']).includes('postgres') ? 'postgres' : 'redis';
const entries = ({ body }: Answer): unknown[] => (Array.isArray(body['data']) ? body['data'] : []);

describe('lookups on a Redis Cluster', () => {
  let cluster: RedisCluster;
  let plane: Plane;
  let instance: Instance;
  beforeAll(async () => {
    cluster = await startRedisCluster();
    plane = await startPlane({ redisUrl: cluster.url });
    await plane.load({ count: COUNT });
    instance = await plane.startInstance();
  });
  afterAll(async () => {
    await plane.close();
    await cluster.stop();
  });
  const bulk = (months?: number): Promise<Answer> => instance.call('POST', '/api/ut360/lookup', { isdns, ...(months !== undefined && { months }) });
  const find = (isdn: string): Promise<Answer> => instance.call('GET', `/api/ut360/subscribers/${encodeURIComponent(isdn)}`);
  const everythingFrom = async (source: string): Promise<void> => {
    const answer = await bulk(2);
    expect([answer.status, entries(answer).length, sources(answer)]).toEqual([200, COUNT, source]);
    expect(entries(answer)[7]).toMatchObject({ index: 7, recommendation: sampleSubscriber(7).recommendation });
  };

  it('find one, many, lists and pages in the buckets, and fill back what is missing', async () => {
    await everythingFrom('redis');
    expect((await find(isdns[3] ?? '')).body).toMatchObject({ recommendation: sampleSubscriber(3).recommendation, freshness: { arpu: { source: 'redis' } } });
    const top = await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=10');
    const priorities = [...sampleSubscribers({ count: COUNT })].filter(({ recommendation }) => recommendation['service_type'] === 'DATA_ADVANCE').map(({ recommendation }) => Number(recommendation['priority_score'])).toSorted((a, b) => b - a);
    expect(entries(top).map((one) => (one as { recommendation: { priority_score: number } }).recommendation.priority_score)).toEqual(priorities.slice(0, 10));
    expect(entries(await instance.call('GET', '/api/ut360/risk/LOW?limit=1000'))).not.toEqual([]);
    const names = plane.stores.keys.subscribers(1);
    const victim = isdns[11] ?? '';
    await plane.stores.redis.unlink(names.body(victim), names.profile(victim));
    expect(sources(await find(victim))).toBe('postgres');
    // What could not be filled back is filled by the next reader.
    await eventually(async () => {
      await find(victim);
      return (await plane.stores.redis.exists(names.body(victim))) === 1;
    });
    expect(sources(await find(victim))).toBe('redis');
    expect((await find('nobody-of-this-name')).status).toBe(404);
  });

  it('give answers of one generation each while a load and a rollback go from bucket to bucket', async () => {
    const stopping = new AbortController();
    const mixed: unknown[] = [];
    const seen = new Set<unknown>();
    const ask = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        const answer = await bulk(1);
        const months = new Set(entries(answer).map((one) => (one as { arpu: { month: string }[] }).arpu[0]?.month));
        for (const month of months) seen.add(month);
        if (answer.status !== 200 || months.size !== 1 || entries(answer).length !== COUNT) mixed.push([answer.status, [...months]]);
      }
    };
    const asking = ask();
    await plane.load({ count: COUNT, lastMonth: '2026-11' });
    await eventually(() => seen.has('2026-11'));
    await underLoadLock(plane.stores.pool, (client) => rollBack(client, plane.stores.redis, plane.stores.keys));
    await eventually(() => instance.pointer.current.redis === 1);
    stopping.abort();
    await asking;
    expect([mixed, [...seen]]).toEqual([[], ['2026-10', '2026-11']]);
  });

  it('go on while a node is flushed, which is seen and written again', async () => {
    for (const node of cluster.nodes) {
      const redis = connectRedis(node.url, { role: 'background', name: 'flush' });
      await redis.flushall();
      await closeRedis(redis);
      const answer = await bulk();
      expect([answer.status, entries(answer).length]).toEqual([200, COUNT]);
      await instance.housekeeping.check();
      expect((await verifyGenerations({ ...plane.stores, keep: 1, repair: false })).problems).toEqual([]);
    }
    await everythingFrom('redis');
  });

  it('go on while a node is away or hangs, and come from Redis again when it is back', async () => {
    const [first, second] = cluster.nodes;
    second?.pause();
    await everythingFrom('postgres');
    expect((await instance.call('GET', '/api/ut360/clusters/3?limit=5')).status).toBe(200);
    second?.resume();
    await eventually(async () => sources(await bulk()) === 'redis');
    await first?.kill();
    await everythingFrom('postgres');
    for (const at of [1, 2, 3, 4]) expect((await find(isdns[at] ?? '')).status).toBe(200);
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5')).status).toBe(200);
    await first?.restart();
    await eventually(async () => {
      await instance.housekeeping.check();
      return sources(await bulk(1)) === 'redis';
    });
    // The test's own client has to find the node again, too.
    await eventually(async () => (await plane.repair()).problems.length === 0);
  });
});
