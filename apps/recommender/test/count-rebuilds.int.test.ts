import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { runAsLeader } from '@millrace/projection';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { createTestDatabase, eventually, testServer, uniqueName } from '@millrace/testing';
import { Registry } from 'prom-client';
import { partitionKeys } from '../src/count-keys.ts';
import { createCountRebuilds, lastScheduled } from '../src/count-rebuilds.ts';
import type { CountRebuilds, CountRebuildsDeps } from '../src/count-rebuilds.ts';
import type { RecsSchema } from '../src/database.ts';
import { migrations } from '../src/migrations/index.ts';
import type { Rebuilt } from '../src/rebuild-counts.ts';
import { beginRebuild, listRebuilds } from '../src/rebuild.repository.ts';
import { keysOfTest } from './counts-kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 4 });
const db = createKysely<RecsSchema>(pool);
await migrateSchema(createKysely<unknown>(pool), migrations);
const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
afterAll(async () => {
  await closeRedis(redis);
  await pool.end();
  await database.drop();
});

const drift = { history: 0, co_buy: 0.25, co_view: 0, baskets: 0, buyers: 0, rebuyers: 0, views: 0, trending: 0, popular: 0 };
const rebuilt: Rebuilt = { generation: 'abc', events: 5, users: 2, drift };

describe('rebuilds of the counts on their schedule', () => {
  let keys: ReturnType<typeof keysOfTest>;
  let opened: CountRebuilds[];
  let done: number;
  beforeEach(async () => {
    keys = keysOfTest(testServer('redis'), uniqueName('recs'));
    [opened, done] = [[], 0];
    await db.deleteFrom('recs.rebuilds').execute();
  });
  afterEach(() => Promise.all(opened.map((one) => one.close())));
  const built = (): Promise<unknown> => redis.set(partitionKeys(keys, 0).generation, 'abc', 'PX', 60_000);
  const open = (over: Partial<CountRebuildsDeps> = {}) => {
    const metrics = new Registry();
    const rebuilds = createCountRebuilds({
      db, redis, keys, metrics, logger: createLogger('test', 'silent'), signal: new AbortController().signal, atMinute: 210, dropOld: async () => 0,
      asLeader: (work) => runAsLeader({ directUrl: database.url, lock: keys.countPartitions }, work),
      rebuild: async () => {
        done += 1;
        await built();
        return rebuilt;
      }, ...over,
    });
    opened.push(rebuilds);
    return { rebuilds, metrics };
  };
  const ended = async (rebuilds: CountRebuilds): Promise<void> => {
    await rebuilds.tick();
    await rebuilds.close();
  };

  it('begin at once where there are no counts that were built, and again when Redis was flushed', async () => {
    const { rebuilds, metrics } = open();
    await ended(rebuilds);
    expect(await listRebuilds(db, 10)).toEqual([expect.objectContaining({ reason: 'first', generation: 'abc', events: 5, users: 2, drift, error: null })]);
    expect(await metrics.getSingleMetricAsString('recs_count_drift')).toContain('kind="co_buy"} 0.25');
    await ended(rebuilds);
    expect(done).toBe(1);
    await redis.unlink(partitionKeys(keys, 0).generation);
    await ended(rebuilds);
    expect(done).toBe(2);
  });
  it('come once a night, also where the hour was missed, and never by the clock without one', async () => {
    await built();
    await ended(open({ atMinute: undefined }).rebuilds);
    expect(done).toBe(0);
    let nowMs = Date.now();
    const { rebuilds } = open({ now: () => nowMs });
    await ended(rebuilds);
    await ended(rebuilds);
    expect(done).toBe(1);
    nowMs += 86_400_000;
    await ended(rebuilds);
    expect((await listRebuilds(db, 10)).map(({ reason }) => reason)).toEqual(['nightly', 'nightly']);
  });
  it('are made by one instance at a time', async () => {
    const gate = Promise.withResolvers<Rebuilt>();
    const { rebuilds: first } = open({ rebuild: () => gate.promise });
    const { rebuilds: second } = open();
    expect(await first.request()).toBe(true);
    expect(await first.request()).toBe(false);
    await eventually(async () => (await listRebuilds(db, 10)).length === 1);
    await ended(second);
    expect(await second.request()).toBe(false);
    expect(done).toBe(0);
    await built();
    gate.resolve(rebuilt);
    await first.close();
    expect(await listRebuilds(db, 10)).toHaveLength(1);
  });
  it('keep the reason of a failure, wait before they are tried again, and tell of one whose process was killed', async () => {
    await beginRebuild(db, 'nightly');
    let nowMs = Date.now();
    const { rebuilds } = open({ now: () => nowMs, rebuild: () => (done === 0 ? ((done += 1), Promise.reject(new Error('no log'))) : built().then(() => rebuilt)) });
    await ended(rebuilds);
    await ended(rebuilds);
    expect((await listRebuilds(db, 10)).map(({ error }) => error)).toEqual(['no log', 'its process ended']);
    nowMs += 2_000;
    await ended(rebuilds);
    expect((await listRebuilds(db, 10))[0]).toMatchObject({ reason: 'first', generation: 'abc' });
  });
  it('are tried again where somebody asked for one and it failed, until it is done, and no longer', async () => {
    await built();
    let nowMs = Date.now();
    const { rebuilds } = open({ now: () => nowMs, atMinute: undefined, rebuild: () => (done === 0 ? ((done += 1), Promise.reject(new Error('no log'))) : built().then(() => rebuilt)) });
    expect(await rebuilds.request()).toBe(true);
    await rebuilds.close();
    await ended(rebuilds);
    expect((await listRebuilds(db, 10)).map(({ error }) => error)).toEqual(['no log']);
    nowMs += 2_000;
    await ended(rebuilds);
    await ended(rebuilds);
    expect((await listRebuilds(db, 10)).map(({ reason, error }) => [reason, error])).toEqual([['manual', null], ['manual', 'no log']]);
  });
  it('are begun again by whoever comes next where somebody asked for one and its process ended', async () => {
    await built();
    await beginRebuild(db, 'manual');
    const { rebuilds } = open({ atMinute: undefined });
    await ended(rebuilds);
    await ended(rebuilds);
    expect((await listRebuilds(db, 10)).map(({ reason, generation, error }) => [reason, generation, error])).toEqual([['manual', 'abc', null], ['manual', null, 'its process ended']]);
  });
  it('were written down when somebody who asked for one is answered, or the answer is an error', async () => {
    const { rebuilds } = open({ asLeader: () => Promise.reject(new Error('no lock')) });
    await expect(rebuilds.request()).rejects.toThrow('no lock');
    const gate = Promise.withResolvers<Rebuilt>();
    const { rebuilds: other } = open({ rebuild: () => gate.promise });
    expect(await other.request()).toBe(true);
    expect(await listRebuilds(db, 10)).toMatchObject([{ reason: 'manual', finished_at: null }]);
    gate.resolve(rebuilt);
  });
  it.each([
    { now: '2026-11-21T03:29:59Z', at: '2026-11-20T03:30:00Z' }, { now: '2026-11-21T03:30:00Z', at: '2026-11-21T03:30:00Z' }, { now: '2026-11-22T00:10:00Z', at: '2026-11-21T03:30:00Z' },
  ])('are due from $at on at $now', ({ now, at }) => {
    expect(new Date(lastScheduled(Date.parse(now), 210)).toISOString()).toBe(new Date(at).toISOString());
  });
});
