import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { masterNodes, scanKeys } from '@millrace/redis-kit';
import { findEverywhere, startRedisCluster } from '@millrace/testing';
import { ErasureSecretError, completeErasures, eraseSubscribers, indexSizes, readPointer, rollBack, underLoadLock, verifyGenerations } from '../src/index.ts';
import type { Counts, LoadReport } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const PHONE = '84912345678';
const TOKEN = 'Ab/c+d=\\9xYz';
const SECRET = 's'.repeat(32);
const EVERY_FORM = ['912345678', TOKEN, JSON.stringify(TOKEN).slice(1, -1), 'ab/c+d='];

describe('erasing subscribers', () => {
  let stores: TestStores;
  const rest = { keep: 2, limit: { share: 0.5 } };
  /** Two of three rows are of those who are erased later; each in another spelling. */
  const load = async (name: string, options: Parameters<TestStores['load']>[1] = {}): Promise<LoadReport> => await stores.load({
    recommendations: { path: await stores.file(`${name}.csv`, `isdn,service_type,bad_debt_risk,cluster_group,priority_score,note\n0912345678,${name},LOW,1,5,n\n${TOKEN},DATA,HIGH,2,7,n\nsomebody-else,DATA,LOW,1,1,n\n`) },
    profiles: { path: await stores.file(`${name}-profiles.csv`, `isdn,arpu_avg\n+84912345678,1\n${TOKEN},2\nsomebody-else,3\n${TOKEN},4\n0912 345 678,x\n`) },
    arpu: { path: await stores.file(`${name}-arpu.csv`, `isdn,data_month,arpu_total\n84912345678,2026-09,1\n84912345678,2026-10,2\nsomebody-else,2026-10,3\n`) },
  }, { ...rest, ...options });
  const erase = async (isdns: readonly string[] = [PHONE, TOKEN], waitMs = 5_000): ReturnType<typeof eraseSubscribers> => await eraseSubscribers({ ...stores, erasureSecret: SECRET }, isdns, { waitMs });
  const found = async (): Promise<readonly string[]> => (await Promise.all(EVERY_FORM.map((form) => findEverywhere(stores.pool, stores.redis, form)))).flat();
  const inStatistics = async (): Promise<number> => (await stores.pool.query(`select 1 from pg_stats where schemaname = 'ut360' and (strpos(histogram_bounds::text, $1) > 0 or strpos(most_common_vals::text, $1) > 0)`, [PHONE])).rowCount ?? 0;
  const wrongIndexes = async (): Promise<string[]> => {
    const { rows } = await stores.pool.query<{ redis: number; stats: Counts }>(`select redis, stats from ut360.generation_sets where state = 'ready' and redis > 0`);
    const wrong: string[] = [];
    for (const { redis, stats } of rows) {
      const names = stores.keys.subscribers(redis);
      for (const { what, key, command, size } of indexSizes(names, stats)) if ((await stores.redis.call(command, key)) !== size || (await stores.redis.hget(names.stats, what)) !== String(size)) wrong.push(`${redis} ${what}`);
    }
    return wrong;
  };
  beforeEach(async () => { stores = await startStores(); });
  afterEach(() => stores.close());

  it('removes them from every generation of both stores, bad rows, copies and statistics, and corrects the counts', async () => {
    await load('FIRST', { aliasKeys: true });
    await load('SECOND');
    expect((await found()).length).toBeGreaterThan(10);
    expect(await inStatistics()).toBeGreaterThan(0);
    // A full server, too, can be left.
    await stores.redis.config('SET', 'maxmemory', '1mb');
    const report = await erase();
    await stores.redis.config('SET', 'maxmemory', '0');
    expect(report).toEqual({ subscribers: 2, recorded: 2, state: 'done', waits_for: null, rows: { recommendations: 4, subscriber_360_profiles: 4, subscriber_monthly_arpu: 4, bad_rows: 4 } });
    expect(await found()).toEqual([]);
    expect(await inStatistics()).toBe(0);
    expect(await wrongIndexes()).toEqual([]);
    const { problems } = await verifyGenerations({ ...stores, keep: 2, repair: false });
    expect(problems).toEqual([]);
    expect(await stores.redis.hgetall(stores.keys.subscribers(2).stats)).toMatchObject({ subscribers: '1', 'service:SECOND': '0', 'service:DATA': '1', 'risk:LOW': '1', arpu: '1', arpu_subscribers: '1' });
    const again = await erase([PHONE]);
    expect(again).toEqual({ subscribers: 1, recorded: 0, state: 'done', waits_for: null, rows: {} });
  });

  it('loads leave them out and count them, and neither a rollback nor a repair brings them back', async () => {
    await load('FIRST');
    await erase();
    const { datasets, counts } = await load('SECOND', { erasureSecret: SECRET });
    expect(datasets.map(({ dataset, rows, bad_rows: bad, erased_rows: erased }) => [dataset, rows, bad, erased])).toEqual([['recommendations', 1, 0, 2], ['profiles', 1, 0, 4], ['arpu', 1, 0, 2]]);
    expect(counts['subscribers']).toBe(1);
    await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys, SECRET));
    await stores.redis.flushall();
    await verifyGenerations({ ...stores, erasureSecret: SECRET, keep: 2, repair: true });
    expect(await found()).toEqual([]);
    expect(await stores.redis.exists(stores.keys.subscribers((await readPointer(stores.pool)).redis).body('somebody-else'))).toBe(1);
  });

  it('who is erased while a load runs is gone from what it made, once both have ended', async () => {
    let erasing: ReturnType<typeof erase> | undefined;
    const progress = {
      step(phase: string, { done }: { readonly done: number }) {
        if (phase === 'check' && done === 0) erasing ??= erase();
      },
    };
    // Recorded before the switch the load does it itself, recorded behind it the erasure does once the load has ended.
    await load('FIRST', { progress, erasureSecret: SECRET });
    expect(await erasing).toMatchObject({ recorded: 2, state: 'done' });
    expect(await found()).toEqual([]);
    expect(await wrongIndexes()).toEqual([]);
  });

  it('a table that a killed load has left is taken over without those who were erased since', async () => {
    await load('FIRST');
    // As after a kill before the switch: the table is there, no set names it.
    await stores.pool.query(`update ut360.generation_sets set state = 'building' where redis = 1`);
    await stores.pool.query(`update ut360.pointer set recommendations = 0, profiles = 0, arpu = 0, redis = 0`);
    const { rows } = await stores.pool.query<{ row: string }>('select r::text as row from ut360.recommendations_1 r where isdn = $1', [PHONE]);
    await erase();
    // A process that had lost its lock committed it behind the erasure.
    await stores.pool.query(`insert into ut360.recommendations_1 select (r).* from (select $1::ut360.recommendations_1 as r) given`, [rows[0]?.row]);
    await stores.pool.query(`update ut360.dataset_generations set rows = rows + 1 where dataset = 'recommendations' and number = 1`);
    const { datasets } = await load('FIRST', { erasureSecret: SECRET });
    expect(datasets[0]).toMatchObject({ resumed: true, rows: 1, erased_rows: 1 });
    expect(await found()).toEqual([]);
  });

  it('what was recorded and not finished is finished by whoever comes next, and by a rollback first', async () => {
    await load('FIRST');
    await load('SECOND');
    const { report, readers } = await underLoadLock(stores.pool, async () => ({ report: await erase([PHONE, TOKEN], 0), readers: await findEverywhere(stores.pool, stores.redis, '912345678') }));
    expect(report).toMatchObject({ state: 'open', waits_for: 'load', recorded: 2 });
    // The list itself has nothing that could be read.
    expect(readers).not.toContain('ut360.erased');
    await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys, SECRET));
    expect(await found()).toEqual([]);
    expect(await underLoadLock(stores.pool, (client) => completeErasures(client, stores))).toBe(0);
  });

  it('a load, a rollback and another erasure are refused without the secret, and with another one', async () => {
    await load('FIRST');
    await expect(eraseSubscribers(stores, [PHONE], { waitMs: 0 })).rejects.toThrow(ErasureSecretError);
    await erase([PHONE]);
    const before = await readPointer(stores.pool);
    await expect(load('SECOND')).rejects.toThrow('set UT360_ERASURE_SECRET');
    await expect(load('SECOND', { erasureSecret: 't'.repeat(32) })).rejects.toThrow('another UT360_ERASURE_SECRET');
    await expect(eraseSubscribers({ ...stores, erasureSecret: 't'.repeat(32) }, [TOKEN], { waitMs: 0 })).rejects.toThrow('another UT360_ERASURE_SECRET');
    expect(await readPointer(stores.pool)).toEqual(before);
  });

  it('nothing of a subscriber is in the report of a load that was refused', async () => {
    const path = await stores.file('headless.csv', `84912345678,DATA,LOW\n${TOKEN},DATA,LOW\n`);
    await expect(stores.load({ recommendations: { path } })).rejects.toThrow('has no column isdn');
    await erase();
    expect(await found()).toEqual([]);
  });
});

it('erasing reaches every node of a cluster, and every generation and copy there', async () => {
  const cluster = await startRedisCluster({ nodeTimeoutMs: 10_000 });
  const stores = await startStores({ redisUrl: cluster.url });
  try {
    const isdns = Array.from({ length: 20 }, (_none, at) => `8491234500${at + 10}`);
    const [victim = ''] = isdns;
    const load = async (service: string): Promise<LoadReport> => await stores.load({ recommendations: { path: await stores.file('some.csv', `isdn,service_type,bad_debt_risk,cluster_group\n${isdns.map((isdn, at) => `${isdn},${service}${at % 3},LOW,${at % 4}`).join('\n')}\n`) } }, { aliasKeys: true });
    await load('A');
    await load('B');
    const found = async (): Promise<number> => {
      let keys = 0;
      for await (const page of scanKeys(masterNodes(stores.redis), `*${victim}*`)) keys += page.length;
      return keys;
    };
    expect(await found()).toBe(8);
    expect(await eraseSubscribers({ ...stores, erasureSecret: SECRET }, [victim], { waitMs: 5_000 })).toMatchObject({ state: 'done', rows: { recommendations: 2 } });
    expect(await found()).toBe(0);
    expect(await stores.redis.zscore(stores.keys.subscribers().service('B0'), victim)).toBeNull();
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual([]);
    await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys, SECRET));
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual([]);
  } finally {
    await stores.close();
    await cluster.stop();
  }
});
