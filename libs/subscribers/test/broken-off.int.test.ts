import { fork } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { eventually } from '@millrace/testing';
import { ErasureSecretError, LoadNotPossibleError, endLoadsNamed, eraseSubscribers, listSets, planDrop, readPointer, rollBack, underLoadLock } from '../src/index.ts';
import type { PoolClient } from 'pg';
import type { LoadOptions } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const csv = (score: number): string => `isdn,service_type,bad_debt_risk,priority_score\n84912345678,DATA,LOW,${score}\n`;

describe('what is broken off', () => {
  let stores: TestStores;
  beforeEach(async () => { stores = await startStores(); });
  afterEach(() => stores.close());
  const load = async (score: number, options: Partial<LoadOptions> = {}) => await stores.load({ recommendations: { path: await stores.file('some.csv', csv(score)) } }, { keep: 3, ...options });
  const goBack = () => underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys));

  it('a rollback that cannot tell Redis says that it is done: another one would go back further', async () => {
    for (const score of [1, 2, 3]) await load(score);
    await stores.server?.kill();
    expect(await goBack()).toMatchObject({ from: 3, pointer: { redis: 2 }, warnings: expect.arrayContaining([expect.stringContaining('generation 2 is live in Postgres, but Redis could not be told')]) });
    await stores.server?.restart();
  });

  it('a rollback takes the keys without a number back, too, where there are some', async () => {
    await load(1);
    await load(2, { aliasKeys: true });
    expect(await stores.redis.hget('ut360:rec:84912345678', 'priority_score')).toBe('2');
    await goBack();
    expect(await stores.redis.hget('ut360:rec:84912345678', 'priority_score')).toBe('1');
    await stores.redis.unlink(...(await stores.redis.keys('ut360:[ripm]*')));
    await load(3);
    await goBack();
    expect(await stores.redis.keys('ut360:[ripm]*')).toEqual([]);
  });

  it('a table that was dropped, with nobody told of it, is not taken over by the next load of the same file', async () => {
    await load(1);
    await stores.pool.query(`create function ut360.refuse() returns trigger language plpgsql as $$ begin raise exception 'killed'; end $$`);
    await stores.pool.query(`create trigger killed before update on ut360.dataset_generations for each row execute function ut360.refuse()`);
    await expect(load(2, { dryRun: true })).rejects.toThrow('killed');
    await stores.pool.query('drop trigger killed on ut360.dataset_generations');
    expect((await load(2)).pointer).toMatchObject({ redis: 2 });
    expect(await stores.redis.hget(stores.keys.subscribers(2).recommendation('84912345678'), 'priority_score')).toBe('2');
  });

  it('a drop folder by hand has a file only until it was loaded in this encoding', async () => {
    const encoding = 'latin1';
    const path = await stores.file('recommendations_final_filtered.csv', csv(1));
    await stores.load({ recommendations: { path, encoding } });
    const names = async (given: { readonly encoding?: string }): Promise<string[]> => Object.keys((await planDrop(stores.pool, { directory: stores.directory, settleMs: 20, ...given })).files);
    expect(await names({ encoding })).toEqual([]);
    expect(await names({})).toEqual(['recommendations']);
  });

  it('a generation that is stopped while it is written leaves no key behind that nobody knows of', async () => {
    const paths = await writeSampleFiles({ count: 6_000, directory: stores.directory });
    const files = { recommendations: { path: paths.recommendations }, profiles: { path: paths.profiles } };
    for (let times = 0; times < 4; times += 1) {
      const stop = new AbortController();
      const progress = { step: (phase: string, { done }: { readonly done: number }) => { if (phase === 'redis' && done > 1_000) stop.abort(new Error('stopped')); } };
      await expect(stores.load(files, { progress, signal: stop.signal })).rejects.toThrow('stopped');
      await eventually(async () => !String(await stores.redis.client('LIST')).includes(' name= '));
      expect((await listSets(stores.pool)).filter(({ state }) => state !== 'ready')).toEqual([]);
      expect((await stores.redis.keys('ut360:*')).length).toBe(0);
    }
  });

  it('a load that is stopped while analytics are computed does not go live', async () => {
    const stop = new AbortController();
    const client = await stores.pool.connect();
    await client.query(`begin; select pg_advisory_xact_lock(hashtext('millrace ut360 analytics'), 1)`);
    const loading = load(1, { signal: stop.signal });
    loading.catch(() => undefined);
    await eventually(async () => ((await stores.pool.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%ut360 analytics%'`)).rowCount ?? 0) > 0);
    stop.abort(new Error('stopped'));
    await client.query('commit');
    client.release();
    await expect(loading).rejects.toThrow('stopped');
    expect((await readPointer(stores.pool)).redis).toBe(0);
    await load(1);
  });

  it('a load that stands still in the middle of a file holds nobody back whose turn it is', async () => {
    const paths = await writeSampleFiles({ count: 40_000, directory: stores.directory });
    const files = { recommendations: { path: paths.recommendations } };
    const child = fork(join(import.meta.dirname, 'load-until-killed.ts'), [stores.databaseUrl, stores.redisUrl, JSON.stringify(files), '{}', 'stands-still'], { execArgv: ['--disable-warning=ExperimentalWarning'] });
    const isCopying = async (): Promise<boolean> => ((await stores.pool.query(`select 1 from pg_stat_activity where datname = current_database() and query like 'copy ut360.recommendations_1 %' and state = 'active'`)).rowCount ?? 0) > 0;
    try {
      await eventually(async () => {
        child.kill('SIGCONT');
        if (!(await isCopying())) return false;
        child.kill('SIGSTOP');
        return isCopying();
      });
      await endLoadsNamed(stores.pool, 'stands-still');
      await stores.pool.query(`set lock_timeout = '5s'`);
      expect((await stores.load(files, { name: 'next' })).datasets).toMatchObject([{ rows: 40_000, resumed: false }]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  describe('with a transaction of somebody else that is left open', () => {
    let reader: PoolClient;
    beforeEach(async () => {
      await load(1);
      reader = await stores.pool.connect();
      await reader.query('begin');
    });
    afterEach(() => reader.release(true));

    it('a load that meets it on a view gives up with a sentence, and is done by the next run', async () => {
      await reader.query('select 1 from ut360.recommendations');
      const failed = await load(2).then(() => 'was loaded', (error: unknown) => (error instanceof LoadNotPossibleError ? error.message : Promise.reject(error)));
      expect(failed).toContain('has read ut360.recommendations');
      expect(await readPointer(stores.pool)).toMatchObject({ redis: 1 });
      await reader.query('commit');
      expect((await load(2)).datasets).toMatchObject([{ resumed: true }]);
    });

    it('loads go on that meet it on an old table, which goes as soon as it can', async () => {
      await reader.query('select 1 from ut360.recommendations_1');
      const retire = () => stores.pool.query(`update ut360.generation_sets set retired_at = now() - interval '2 minutes' where retired_at is not null`);
      const isThere = async () => (await stores.pool.query(`select to_regclass('ut360.recommendations_1') is not null as there`)).rows[0];
      for (const score of [2, 3]) {
        await load(score, { keep: 0 });
        await retire();
      }
      expect(await load(4, { keep: 0 })).toMatchObject({ warnings: [] });
      expect(await isThere()).toEqual({ there: true });
      await reader.query('commit');
      await load(5, { keep: 0 });
      expect(await isThere()).toEqual({ there: false });
    });
  });

  it('nobody is recorded under a second secret, also where the first erasure is recorded at the same time', async () => {
    await load(1);
    const client = await stores.pool.connect();
    await client.query(`begin; update ut360.pointer set version = version + 1`);
    const erasing = eraseSubscribers({ ...stores, erasureSecret: 't'.repeat(32) }, ['84912345678'], { waitMs: 1_000 });
    erasing.catch(() => undefined);
    await eventually(async () => ((await stores.pool.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'update ut360.pointer%'`)).rowCount ?? 0) > 0);
    await client.query(`insert into ut360.erasure_secret (fingerprint) values ('of another'); insert into ut360.erased (hmac, mark) values ('x', 0); commit`);
    client.release();
    await expect(erasing).rejects.toBeInstanceOf(ErasureSecretError);
    expect((await stores.pool.query('select count(*)::int as count from ut360.erased')).rows).toEqual([{ count: 1 }]);
  });
});
