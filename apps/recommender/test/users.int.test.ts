import { afterAll, describe, expect, it } from '@jest/globals';
import type { EventPublisher } from '@millrace/bus';
import type { ErasureReceipt, UserMerge } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { createTestDatabase, testServer, uniqueName } from '@millrace/testing';
import { Registry } from 'prom-client';
import { countInteractions } from '../src/count-interactions.ts';
import { FIRST_GENERATION, partitionKeys } from '../src/count-keys.ts';
import { createCountedPartitions } from '../src/counted-partitions.ts';
import type { RecsSchema } from '../src/database.ts';
import { createErasedUsers, eraseUsers, usersOfInteraction, usersOfMerge, withoutErased } from '../src/erase-users.ts';
import { migrations } from '../src/migrations/index.ts';
import { createRankingLog, recordImpressions } from '../src/ranking-log.ts';
import { createCountReader } from '../src/read-counts.ts';
import { countForExperiments, insertShownLists } from '../src/experiment-log.ts';
import { forgetUserCounts, moveUserCounts } from '../src/user-counts.ts';
import { createNameBook } from '../src/user-names.ts';
import type { NameBookDeps } from '../src/user-names.ts';
import { did } from './kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 4 });
const db = createKysely<RecsSchema>(pool);
await migrateSchema(createKysely<unknown>(pool), migrations);
const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
const prefix = uniqueName('recs');
const keys = { ...createKeys(), counts: (partition: number) => `${prefix}:{${partition}}`, countPartitions: `${prefix}:partitions` };
const partitions = createCountedPartitions(redis, keys);
const count = countInteractions({ redis, keys, ttlSeconds: 3_600, addPartition: (partition) => partitions.add(partition) });
const reader = createCountReader({ redis, live: () => partitions.live() });
const userCounts = { redis, keys, partitions: () => partitions.list(), ttlSeconds: 3_600 };
const delivery = { signal: new AbortController().signal, partition: 0 };
afterAll(async () => {
  await closeRedis(redis);
  await pool.end();
  await database.drop();
});

const merged = (from: string, to: string): UserMerge => ({ type: 'merged', from, to, meta: { id: uniqueName('m'), timestamp: '', schema: 1 } });
const failures: unknown[] = [];
const moveCounts: NameBookDeps['moveCounts'] = (merge) => moveUserCounts(userCounts, merge);
const openNames = () => createNameBook({ db, locking: db, onFailure: (error) => failures.push(error), moveCounts, waitMs: 2_000 });
const SECRET = 's'.repeat(32);

function openEraser(...[secret]: [secret: string | undefined]) {
  const receipts: ErasureReceipt['stores'][] = [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only receipts are published here
  const publish: EventPublisher['publish'] = async (_topic, events) => void receipts.push(...(events as unknown as ErasureReceipt[]).map(({ stores }) => stores));
  const erased = createErasedUsers({ db, locking: db, secret });
  const log = createRankingLog({ logger: createLogger('test', 'silent'), metrics: new Registry(), erased });
  const erase = eraseUsers({ locking: db, forgetCounts: (id) => forgetUserCounts(userCounts, id), erased, flush: () => log.flush(), bus: { publish } });
  const request = (users: string[]) => erase([{ type: 'erase', job: 'j', attempt: 1, users, meta: { id: uniqueName('e'), timestamp: '', schema: 1 } }]);
  const serve = (userId: string, rankingId: string) => log.add({ rankingId, userId, kind: 'recommendations', servedAtMs: Date.now(), items: [{ sku: 'a', stage: 'popular' }] });
  return { erased, log, request, receipts, serve };
}

describe('merged users', () => {
  it('have one history under every name, however often and in whatever order the merges come', async () => {
    const [a, b, c] = [uniqueName('a'), uniqueName('b'), uniqueName('c')];
    await count([did(a, 'purchase', 'x'), did(b, 'purchase', 'y'), did(c, 'view', 'z')], delivery);
    const names = openNames();
    expect(await names.find(a)).toEqual({ userId: a, all: [a] });
    await names.keep([merged(b, c)]);
    for (let time = 0; time < 2; time += 1) await names.keep([merged(a, b)]);
    await names.keep([merged(b, c)]);
    for (const name of [a, b, c]) {
      const { userId, all } = await names.find(name);
      expect([userId, all.toSorted()]).toEqual([c, [a, b, c].toSorted()]);
      const history = await reader.history(all);
      expect([history.bought.map(({ sku, baskets }) => `${sku} ${baskets}`).toSorted(), history.viewed.map(({ sku }) => sku)]).toEqual([['x 1', 'y 1'], ['z']]);
    }
    expect(failures).toEqual([]);
  });
  it('have one history where somebody counts for them at the same time, and who is forgotten meanwhile has none', async () => {
    const [a, b, c, d, gone] = [uniqueName('a'), uniqueName('b'), uniqueName('c'), uniqueName('d'), uniqueName('gone')];
    await count([did(a, 'purchase', 'x'), did(b, 'purchase', 'y'), did(c, 'purchase', 'x'), did(d, 'purchase', 'y'), did(gone, 'purchase', 'z')], delivery);
    let isRead = false;
    // Asked when the histories were read, before the counts are written.
    const hasRoom = async (): Promise<boolean> => {
      if (isRead) return true;
      isRead = true;
      await moveUserCounts(userCounts, { from: a, to: b });
      await moveUserCounts(userCounts, { from: c, to: d });
      await forgetUserCounts(userCounts, gone);
      return true;
    };
    const slow = countInteractions({ redis, keys, ttlSeconds: 3_600, addPartition: (partition) => partitions.add(partition), hasRoom });
    await slow([did(b, 'view', 'v'), did(c, 'view', 'v'), did(gone, 'view', 'v')], delivery);
    for (const names of [[a, b], [c, d]]) {
      const { bought, viewed } = await reader.history(names);
      expect([bought.map(({ sku, baskets }) => `${sku} ${baskets}`).toSorted(), viewed.map(({ sku }) => sku)]).toEqual([['x 1', 'y 1'], ['v']]);
    }
    expect((await reader.history([gone])).bought).toEqual([]);
  });
  it('take their served lists along, and other instances hear of it', async () => {
    const [from, to] = [uniqueName('from'), uniqueName('to')];
    const { log, serve } = openEraser(SECRET);
    const rankingId = '7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11';
    serve(from, rankingId);
    await log.flush();
    const [first, second] = [openNames(), openNames()];
    expect((await second.find(from)).all).toEqual([from]);
    await first.keep([merged(from, to)]);
    await second.forget([merged(from, to)]);
    expect((await second.find(from)).userId).toBe(to);
    expect((await pool.query('select user_id from recs.rankings where ranking_id = $1', [rankingId])).rows).toEqual([{ user_id: to }]);
    await log.close();
  });
  it('are only their own id where Postgres does not answer in time, and nobody waits for it again at once', async () => {
    const seen: unknown[] = [];
    const slow = createNameBook({ db, locking: db, onFailure: (error) => seen.push(error), moveCounts, waitMs: 5 });
    const holder = await pool.connect();
    await holder.query('begin; lock table recs.user_aliases in access exclusive mode');
    expect(await slow.find('slow')).toEqual({ userId: 'slow', all: ['slow'] });
    expect(await slow.find('slow')).toEqual({ userId: 'slow', all: ['slow'] });
    await holder.query('rollback');
    holder.release();
    expect(seen).toHaveLength(1);
  });
});

const counting = { isCounting: () => true, refresh: async () => true };

describe('erasing a user', () => {
  it('removes counts, lists, impressions and names, and says what there was; again it finds nothing', async () => {
    const [id, alias, other] = [uniqueName('person'), uniqueName('anon'), uniqueName('other')];
    const { request, receipts, serve, log } = openEraser(SECRET);
    await count([did(id, 'purchase', 'x'), did(alias, 'view', 'y'), did(other, 'view', 'y')], delivery);
    await openNames().keep([merged(alias, id)]);
    const rankingId = '8b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11';
    serve(id, rankingId);
    await recordImpressions(db, rankingId, [{ sku: 'a', position: 0 }]);
    await insertShownLists(db, [{ rankingId, userId: id, servedAtMs: Date.now(), experiments: [{ key: 'e', variant: 'v' }] }]);
    await countForExperiments({ erased: createErasedUsers({ db, locking: db, secret: SECRET }), live: counting })([did(alias, 'purchase', 'x')], delivery);
    await request([id, alias]);
    await request([id, alias]);
    expect(receipts).toEqual([1, 0].map((n) => [
      { store: 'recs.rankings', found: n, erased: n, due: 0 }, { store: 'recs.user_aliases', found: n, erased: n, due: 0 },
      { store: 'recs.experiment_lists', found: n, erased: n, due: 0 }, { store: 'recs.experiment_events', found: n, erased: n, due: 0 }, { store: 'counts', found: n, erased: n, due: 0 },
    ]));
    const of = partitionKeys(keys, 0).of(FIRST_GENERATION);
    expect([await redis.exists(of.user(id), of.user(alias)), await redis.exists(of.user(other))]).toEqual([0, 1]);
    expect((await pool.query('select 1 from recs.impressions')).rowCount).toBe(0);
    for (const table of ['rankings', 'user_aliases', 'impressions', 'erased', 'experiment_lists', 'experiment_events']) expect((await pool.query(`select 1 from recs.${table} as t where t::text like $1`, [`%${id}%`])).rowCount).toBe(0);
    await log.close();
  });
  it('drops later events and merges of the user on every instance, and keeps later lists without the user', async () => {
    const id = uniqueName('late');
    const [here, there] = [openEraser(SECRET), openEraser(SECRET)];
    await here.request([id]);
    there.serve(id, '9b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11');
    await there.log.flush();
    expect((await pool.query('select user_id from recs.rankings where ranking_id = $1', ['9b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11'])).rows).toEqual([{ user_id: null }]);
    await countForExperiments({ erased: there.erased, live: counting })([did(id, 'purchase', 'x')], delivery);
    expect((await pool.query('select 1 from recs.experiment_events where user_id = $1', [id])).rowCount).toBe(0);
    const metrics = new Registry();
    await withoutErased(there.erased, usersOfInteraction, metrics)(count)([did(id, 'view', 'x')], delivery);
    await withoutErased(there.erased, usersOfMerge, metrics)(openNames().keep)([merged(uniqueName('m'), id)]);
    expect(await redis.exists(partitionKeys(keys, 0).of(FIRST_GENERATION).user(id))).toBe(0);
    expect((await pool.query('select 1 from recs.user_aliases where user_id = $1', [id])).rowCount).toBe(0);
    expect((await metrics.getSingleMetric('recs_erased_events_total')?.get())?.values[0]?.value).toBe(2);
    const anew = createErasedUsers({ db, locking: db, secret: SECRET });
    await anew.refresh();
    expect([anew.has(id), anew.has(uniqueName('somebody'))]).toEqual([true, false]);
  });
  it('answers nothing without a secret, so that the job waits', async () => {
    const { request, receipts, log } = openEraser(undefined);
    await expect(request(['1'])).rejects.toThrow('a user cannot be erased now');
    expect(receipts).toEqual([]);
    await log.close();
  });
});
