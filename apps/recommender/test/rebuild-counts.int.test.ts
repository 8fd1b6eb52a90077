import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { hasPassed, readEnds } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { NewInteraction } from '@millrace/contracts';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { describeWith, eventually, testServer, uniqueName } from '@millrace/testing';
import { beginBuild, BuildLostError } from '../src/building.ts';
import { FIRST_GENERATION, partitionKeys } from '../src/count-keys.ts';
import { dropOldGenerations } from '../src/drop-generations.ts';
import { rebuildCounts } from '../src/rebuild-counts.ts';
import type { RebuildCountsDeps, Rebuilt } from '../src/rebuild-counts.ts';
import { findUserCounts, forgetUserCounts, moveUserCounts } from '../src/user-counts.ts';
import { createFakeLog, expectedCounts, GROUP, keysOfTest, keysUnder, manyEvents, openCounting, readAllCounts, TTL_SECONDS } from './counts-kit.ts';
import type { Counting, FakeLog } from './counts-kit.ts';

function guarantees(server: 'redis' | 'redis-cluster', count: number): void {
  let url: string;
  let redis: Redis;
  let keys: Keys;
  let prefix: string;
  let counting: Counting;
  let log: FakeLog;
  beforeEach(() => {
    url = testServer(server);
    prefix = uniqueName('recs');
    redis = connectRedis(url, { role: 'background', name: 'test' });
    keys = keysOfTest(url, prefix);
    counting = openCounting(url, { redis, keys, partitions: count });
    log = createFakeLog(redis);
  });
  afterEach(async () => {
    await counting.bus.close();
    for (const key of await keysUnder(redis, prefix)) await redis.unlink(key);
    await closeRedis(redis);
  });
  const publish = (events: readonly NewInteraction[]): Promise<void> => counting.bus.publish(interactions, events);
  const counted = (): Promise<true> => eventually(async () => (await hasPassed(redis, GROUP, await readEnds(redis, keys, interactions.name))) || undefined);
  const rebuild = (over: Partial<RebuildCountsDeps> = {}): Promise<Rebuilt> =>
    rebuildCounts({ redis, keys, ttlSeconds: TTL_SECONDS, log, group: GROUP, hasRoom: async () => true, partitions: () => counting.partitions.list(), addPartition: (partition) => counting.partitions.add(partition), ...over }, new AbortController().signal);
  const live = async () => Promise.all((await counting.partitions.list()).map(async (partition) => {
    const of = partitionKeys(keys, partition);
    return of.of((await redis.get(of.generation)) ?? FIRST_GENERATION);
  }));
  const counts = async (): Promise<Record<string, unknown>> => readAllCounts(redis, await live());
  const expected = (events: readonly NewInteraction[]): Promise<Record<string, unknown>> => expectedCounts(redis, keysOfTest(url, `${prefix}-expected`), events);
  const user = () => ({ redis, keys, partitions: () => counting.partitions.list(), ttlSeconds: TTL_SECONDS });
  /** Published, counted and in the log. */
  const happened = async (events: readonly NewInteraction[]): Promise<void> => {
    await counting.start();
    await log.start(counting.bus);
    await publish(events);
    await counted();
  };

  it('are those that were there, where nothing was lost: the drift is 0', async () => {
    const events = manyEvents(600);
    await happened(events);
    const before = await counts();
    const { drift, events: read, users } = await rebuild();
    expect([read, users]).toEqual([600, 20]);
    expect(Object.values(drift)).toEqual(Object.values(drift).map(() => 0));
    expect(await counts()).toEqual(before);
    expect(before).toEqual(await expected(events));
  });

  it('have every event once that comes while they are built, in the log already or not', async () => {
    const events = manyEvents(900);
    await happened(events.slice(0, 300));
    // After the build has begun: in the snapshot and in a tail.
    const open: FakeLog['open'] = async (until, signal) => {
      await publish(events.slice(300, 500));
      await eventually(() => log.rows.size === 500);
      return await log.open(until, signal);
    };
    log.during = async (row) => {
      if (row === 100) await publish(events.slice(500, 700));
      if (row === 400) await publish(events.slice(700));
    };
    await rebuild({ log: { open } });
    await counted();
    expect(await counts()).toEqual(await expected(events));
  });

  it('have every event once while counting never stands still, and counting goes on', async () => {
    const events = manyEvents(1_200);
    await happened(events.slice(0, 400));
    const publishing = (async () => {
      for (let from = 400; from < events.length; from += 20) await publish(events.slice(from, from + 20));
    })();
    await rebuild();
    await publishing;
    await counted();
    expect(await counts()).toEqual(await expected(events));
  });

  it('have an event once that was in the log before it is in the stream, whenever it comes', async () => {
    const events = manyEvents(300);
    await happened(events.slice(0, 298));
    const [during, after] = [events.slice(298, 299), events.slice(299)];
    for (const event of [...during, ...after]) {
      log.rows.set(event.meta?.id ?? '', event);
      log.deferred.add(event.meta?.id ?? '');
    }
    log.during = async (row) => {
      if (row === 50) await publish(during);
    };
    await rebuild();
    await counted();
    await publish(after);
    await counted();
    expect(await counts()).toEqual(await expected(events));
  });

  it('stay as they were where a build breaks off, and the next one leaves nothing of it', async () => {
    const events = manyEvents(400);
    await happened(events);
    const before = await counts();
    log.during = async (row) => {
      if (row === 200) throw new Error('killed');
    };
    await expect(rebuild()).rejects.toThrow('killed');
    expect(await counts()).toEqual(before);
    log.during = undefined;
    await expect(rebuild({ hasRoom: async () => false })).rejects.toThrow('too full');
    await rebuild();
    expect(await counts()).toEqual(before);
    const old = { redis, keys, partitions: () => counting.partitions.list(), current: () => counting.partitions.list() };
    expect(await dropOldGenerations(old)).toBe(0);
    expect(await dropOldGenerations({ ...old, graceMs: -1_000 })).toBeGreaterThan(0);
    expect(await counts()).toEqual(before);
    const kept = (await live()).map(({ prefix: one }) => one);
    const left = (await Promise.all((await counting.partitions.list()).map((partition) => keysUnder(redis, keys.counts(partition))))).flat();
    expect(left.filter((key) => !kept.some((one) => key.startsWith(one)) && !/:(applied|generation|generations|user-moves)$/.test(key))).toEqual([]);
  });

  it('leave nothing that names a user where their builder died', async () => {
    await happened(manyEvents(100));
    const build = await beginBuild(redis, keys, { partition: 0, generation: 'died' });
    const old = { redis, keys, partitions: async () => [0], current: async () => [0] };
    await publish(manyEvents(100, { from: 100 }));
    await counted();
    await forgetUserCounts({ ...user(), partitions: async () => [0] }, 'u3');
    expect(await dropOldGenerations(old)).toBe(0);
    expect(await redis.exists(build.keys.tail, build.keys.userChanges)).toBe(2);
    await redis.unlink(build.keys.building);
    expect(await dropOldGenerations(old)).toBe(2);
    expect(await redis.exists(build.keys.tail, build.keys.userChanges)).toBe(0);
  });

  it('say that a user who is forgotten meanwhile is named until they are built, and leave nothing then, also where their builder died', async () => {
    await happened(manyEvents(100));
    const of = { ...user(), partitions: async () => [0] };
    const build = await beginBuild(redis, keys, { partition: 0, generation: 'died' });
    await publish(manyEvents(100, { from: 100 }));
    await counted();
    expect(await forgetUserCounts(of, 'u3')).toMatchObject({ due: 1 });
    expect(await redis.exists(build.keys.userChanges)).toBe(1);
    await redis.set(build.target.user('u3'), '', 'PX', 60_000);
    await redis.unlink(build.keys.building);
    expect(await forgetUserCounts(of, 'u3')).toEqual({ erased: 1, due: 0 });
    expect(await redis.exists(build.keys.tail, build.keys.userChanges, build.target.user('u3'))).toBe(0);
    log.during = async (row) => {
      if (row === 100) expect((await forgetUserCounts(user(), 'u4')).due).toBeGreaterThan(0);
    };
    await rebuild();
    expect(await forgetUserCounts(user(), 'u4')).toMatchObject({ due: 0 });
  });

  it('are refused to a builder that stood still while another one began', async () => {
    await happened(manyEvents(50));
    const first = await beginBuild(redis, keys, { partition: 0, generation: 'first' });
    await beginBuild(redis, keys, { partition: 0, generation: 'second' });
    await expect(first.renew()).rejects.toThrow(BuildLostError);
    await expect(first.write([{ kind: 'c', key: first.target.counter('views'), ttlSeconds: 0, values: [['a', 1]] }])).rejects.toThrow(BuildLostError);
    await expect(first.swap({ tail: 0, userChanges: 0 })).rejects.toThrow(BuildLostError);
  });

  it('know nothing of a user who was forgotten while they were built, and all of one who was moved', async () => {
    const events = manyEvents(600);
    await happened(events);
    log.during = async (row) => {
      if (row !== 300) return;
      expect(await forgetUserCounts(user(), 'u3')).toMatchObject({ erased: 1 });
      await moveUserCounts(user(), { from: 'u5', to: 'u7' });
    };
    await rebuild();
    const users = Object.keys(await counts()).filter((name) => name.startsWith('user:'));
    expect(users).toHaveLength(18);
    expect(users.some((name) => ['user:u3', 'user:u5'].includes(name))).toBe(false);
    expect([await findUserCounts(user(), 'u3'), await findUserCounts(user(), 'u5')]).toEqual([0, 0]);
    expect(await findUserCounts(user(), 'u7')).toBeGreaterThan(0);
  });

  it('leave nothing of a user who is forgotten after they were swapped in, in replaced ones neither', async () => {
    await happened(manyEvents(100));
    await rebuild();
    const named = async () => (await Promise.all((await counting.partitions.list()).map((partition) => keysUnder(redis, keys.counts(partition))))).flat().filter((key) => key.endsWith(':user:u3'));
    expect(await named()).toHaveLength(2);
    expect([await forgetUserCounts(user(), 'u3'), await named()]).toEqual([{ erased: 2, due: 0 }, []]);
  });

  it('come back from the log where Redis has lost them', async () => {
    const events = manyEvents(500);
    await happened(events);
    for (const partition of await counting.partitions.list()) for (const key of await keysUnder(redis, keys.counts(partition))) await redis.unlink(key);
    const { drift } = await rebuild();
    expect(drift.history).toBe(1);
    expect(await counts()).toEqual(await expected(events));
  });
}

describe('counts that are built anew', () => {
  guarantees('redis', 1);
});
describeWith('redis-cluster', 'counts of three partitions that are built anew on a cluster', () => {
  guarantees('redis-cluster', 3);
});
