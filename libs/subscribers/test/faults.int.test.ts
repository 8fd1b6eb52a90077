import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sampleSubscriber, writeSampleFiles } from '@millrace/sample-subscribers';
import { describeWith, eventually, testServer } from '@millrace/testing';
import { LoadNotPossibleError, LoadRefusedError, listSets, parseMappings, parsePointer, publishPointer, readPointer, rollBack, underLoadLock, verifyGenerations } from '../src/index.ts';
import type { LoadOptions } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const HEADER = 'isdn,service_type,bad_debt_risk,priority_score,note';
const line = (at: number, score: number | string = at): string => `8491${String(at).padStart(7, '0')},DATA,LOW,${score},n${at}`;
const csv = (...lines: readonly string[]): string => `${[HEADER, ...lines].join('\n')}\n`;
const many = (count: number, score?: string): string[] => Array.from({ length: count }, (_none, at) => line(at, score));

/** Everything that a reader of either store sees. */
async function seen({ pool, redis, keys }: TestStores): Promise<unknown> {
  const pointer = await readPointer(pool);
  const names = keys.subscribers(pointer.redis);
  return { pointer, copy: await redis.get('ut360:current'), body: await redis.get(names.body('84910000001')), stats: await redis.hgetall(names.stats), rows: (await pool.query(`select count(*)::int as count from ut360.recommendations_${pointer.recommendations}`)).rows };
}

describe('a load that must not go on', () => {
  let stores: TestStores;
  beforeEach(async () => {
    stores = await startStores();
    await stores.load({ recommendations: { path: await stores.file('first.csv', csv(...many(50))) } });
  });
  afterEach(() => stores.close());

  const refused = async (content: string | Buffer, options: Partial<LoadOptions> = {}): Promise<string> => {
    const before = await seen(stores);
    const failure = await stores.load({ recommendations: { path: await stores.file('second.csv', content) } }, options).then(() => 'was loaded', (error: unknown) => (error instanceof LoadRefusedError ? error.message : Promise.reject(error)));
    expect(await seen(stores)).toEqual(before);
    return failure;
  };

  it('is refused with 2 % bad rows against 1 %, changes nothing, and its report and bad rows are there', async () => {
    const lines = many(98);
    expect(await refused(csv(...lines.slice(0, 40), '84910000900,DATA,NONE,1,', ...lines.slice(40), 'short,DATA,LOW,1,'))).toBe('2 of 100 rows of second.csv (recommendations) are bad, 1 % may be (--max-bad); line 42, bad_debt_risk: must be LOW, MEDIUM or HIGH');
    const { rows } = await stores.pool.query('select dataset, file, line, "column", reason, isdn from ut360.bad_rows order by line');
    expect(rows).toEqual([
      { dataset: 'recommendations', file: 'second.csv', line: 42, column: 'bad_debt_risk', reason: 'must be LOW, MEDIUM or HIGH', isdn: '84910000900' },
      { dataset: 'recommendations', file: 'second.csv', line: 101, column: 'isdn', reason: expect.stringContaining('neither'), isdn: null },
    ]);
    expect((await stores.pool.query('select state, report from ut360.loads order by id desc limit 1')).rows).toEqual([{ state: 'refused', report: expect.objectContaining({ error: expect.stringContaining('2 of 100'), bad_rows: { recommendations: 2 } }) }]);
    expect(await stores.load({ recommendations: { path: await stores.file('second.csv', csv(...many(99), 'short,DATA,LOW,1,')) } })).toMatchObject({ datasets: [{ rows: 99, bad_rows: 1 }] });
  });

  it.each([
    ['no rows', csv(), 'has no row that can be loaded'],
    ['no header of its own', '1,2\n3,4\n', 'has no column isdn'],
    ['10,000 columns', `${Array.from({ length: 10_000 }, (_none, at) => `c${at}`).join(',')}\n`, '10000 columns'],
    ['a line of 11 MB', csv(line(1), `84910000002,DATA,LOW,1,${'x'.repeat(11_000_000)}`), 'longer than 1048576 characters'],
    ['gzip that was cut off', gzipSync(csv(...many(5_000))).subarray(0, 2_000), 'cut off'],
    ['Latin-1', Buffer.from(csv(line(1), '84910000002,DATA,LOW,1,caf\u00E9'), 'latin1'), 'not UTF-8'],
  ])('is refused for %s, and changes nothing', async (_what, content, sentence) => {
    expect(await refused(content)).toContain(sentence);
  });

  it('keeps the first of rows with the same key, and tells the lines of the others', async () => {
    const months = ['isdn,data_month,arpu_total', '0912345678,2026-01,1', '84912345678,202601,2', '+84912345678,2026-02,3', 'opaque-token,2026-01,4', '84912345678,2026-01-15,5'];
    const report = await stores.load({ arpu: { path: await stores.file('arpu.csv', `\uFEFF${months.join('\r\n')}\r\n`) } }, { limit: { rows: 2 } });
    expect(report.datasets).toMatchObject([{ dataset: 'arpu', rows: 3, bad_rows: 2 }]);
    expect((await stores.pool.query('select line, "column", reason from ut360.bad_rows order by line')).rows).toEqual([3, 6].map((at) => ({ line: at, column: 'isdn, data_month', reason: 'repeats the key of an earlier row' })));
    expect((await stores.pool.query('select arpu_total::text as total from ut360.subscriber_monthly_arpu order by isdn, data_month')).rows).toEqual([{ total: '1' }, { total: '3' }, { total: '4' }]);
    await expect(stores.load({ arpu: { path: join(stores.directory, 'arpu.csv') } }, { limit: { rows: 1 } })).rejects.toThrow('2 of 5 rows of arpu.csv (arpu) are bad');
  });

  it('tells what would change and changes nothing as a dry run', async () => {
    const before = await seen(stores);
    const next = csv(...many(48), line(48, 999), line(60), line(61));
    const report = await stores.load({ recommendations: { path: await stores.file('next.csv', next) } }, { dryRun: true });
    expect(report).toMatchObject({ dry_run: true, changes: { recommendations: { added: 2, removed: 1, changed: 1, unchanged: 48 } } });
    expect(await seen(stores)).toEqual(before);
    expect((await stores.pool.query(`select count(*)::int as count from information_schema.tables where table_schema = 'ut360' and table_name ~ '^recommendations_[0-9]'`)).rows).toEqual([{ count: 2 }]);
  });

  it('waits for its turn, and is refused while another one runs', async () => {
    const before = await seen(stores);
    await underLoadLock(stores.pool, async () => {
      await expect(underLoadLock(stores.pool, async () => undefined, { waitMs: 50 })).rejects.toThrow(/another load is running \(ut360-load \d+@/);
    });
    expect(await seen(stores)).toEqual(before);
    const [first, second] = await Promise.all([1, 2].map(async (at) => await stores.load({ recommendations: { path: await stores.file(`both${at}.csv`, csv(...many(10))) } })));
    expect(new Set([first?.pointer.redis, second?.pointer.redis])).toEqual(new Set([2, 3]));
  });

  it('keeps a generation for a rollback, and removes older ones from both stores', async () => {
    const path = await stores.file('next.csv', csv(...many(20, '7')));
    await stores.load({ recommendations: { path } });
    await stores.load({ recommendations: { path } });
    // Who began before the switch has a minute.
    expect((await listSets(stores.pool)).map(({ redis }) => redis)).toEqual([3, 2, 1, 0]);
    await stores.pool.query(`update ut360.generation_sets set retired_at = now() - interval '2 minutes' where retired_at is not null`);
    const report = await stores.load({ recommendations: { path } });
    expect(report.pointer.redis).toBe(4);
    await stores.pool.query(`update ut360.generation_sets set retired_at = now() - interval '2 minutes' where retired_at is not null`);
    expect((await stores.load({ recommendations: { path } })).removed_generations).toEqual([3]);
    expect(await stores.redis.keys('ut360:[123]:*')).toEqual([]);
    expect((await listSets(stores.pool)).map(({ redis }) => redis)).toEqual([5, 4, 0]);
    expect((await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys))).pointer.redis).toBe(4);
    await expect(underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys))).rejects.toThrow('no generation to go back to');
  });

  it('is written again by a verification where Redis was flushed, or something in it was changed', async () => {
    expect(await verifyGenerations({ ...stores, keep: 1, repair: false })).toMatchObject({ problems: [], repaired: false });
    await stores.redis.set(stores.keys.subscribers(1).body('84910000001'), 'changed');
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual(['1 of 50 compared subscribers are not what was written']);
    await stores.redis.flushall();
    expect(await verifyGenerations({ ...stores, keep: 1, repair: true })).toMatchObject({ repaired: true, pointer: { redis: 2, recommendations: 1 } });
    expect(await verifyGenerations({ ...stores, keep: 1, repair: false })).toMatchObject({ problems: [] });
  });

  it('serves readers that know of no generations where that is wanted, without those who are gone', async () => {
    const path = await stores.file('next.csv', csv(...many(3, '7')));
    await stores.redis.hset('ut360:rec:gone-for-long', 'service_type', 'DATA');
    await stores.load({ recommendations: { path } }, { aliasKeys: true });
    expect(await stores.redis.hget('ut360:rec:84910000001', 'priority_score')).toBe('7');
    expect(await stores.redis.zcard('ut360:idx:service:DATA')).toBe(3);
    expect(await stores.redis.exists('ut360:rec:gone-for-long')).toBe(0);
  });
});

it('is refused where Redis has no room for a second generation, and changes nothing', async () => {
  const stores = await startStores({ redisArguments: ['--maxmemory', '6mb', '--maxmemory-policy', 'noeviction'] });
  try {
    const paths = await writeSampleFiles({ count: 1_100, directory: stores.directory });
    const files = { recommendations: { path: paths.recommendations }, profiles: { path: paths.profiles } };
    await stores.load(files);
    const before = await seen(stores);
    const failure = await stores.load(files).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(LoadNotPossibleError);
    expect(String(failure)).toMatch(/has no room for one more generation: it needs about \d+ MiB, \d+ MiB are free/);
    expect(await seen(stores)).toEqual(before);
    expect(await stores.redis.keys('ut360:2:*')).toEqual([]);
    // Whoever goes back needs no room.
    await stores.redis.config('SET', 'maxmemory', '1');
    const pointer = { ...(await readPointer(stores.pool)), version: 7 };
    await publishPointer(stores.redis, stores.keys, pointer);
    expect(parsePointer(await stores.redis.get('ut360:current'))).toEqual(pointer);
  } finally {
    await stores.close();
  }
});

describe('a load that is killed', () => {
  it.each([
    ['while it reads the first file', { phase: 'read', dataset: 'recommendations' }, false],
    ['after the first file', { phase: 'read', dataset: 'arpu' }, true],
    ['while it writes to Redis', { phase: 'redis', share: 0.5 }, true],
    ['just before the switch', { phase: 'switch' }, true],
  ])('%s leaves what was served, and the next one takes over or starts clean', async (_when, end, isResumed) => {
    const stores = await startStores();
    try {
      await stores.load({ recommendations: { path: await stores.file('first.csv', csv(...many(50))) } });
      const before = await seen(stores);
      const paths = await writeSampleFiles({ count: 3_000, directory: stores.directory });
      const files = { recommendations: { path: paths.recommendations }, arpu: { path: paths.arpu } };
      const child = fork(join(import.meta.dirname, 'load-until-killed.ts'), [stores.databaseUrl, stores.redisUrl, JSON.stringify(files), JSON.stringify(end)], { execArgv: ['--disable-warning=ExperimentalWarning'] });
      expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
      expect(await seen(stores)).toEqual(before);
      await eventually(() => underLoadLock(stores.pool, async () => true, { waitMs: 50 }).catch(() => false));
      const report = await stores.load(files);
      expect(report.datasets.some(({ resumed }) => resumed)).toBe(isResumed);
      expect(report.counts).toMatchObject({ recommendations: 3_000, subscribers: 3_000 });
      expect(await verifyGenerations({ ...stores, keep: 1, repair: false })).toMatchObject({ problems: [] });
      const { isdn, recommendation } = sampleSubscriber(5);
      expect(await stores.redis.hget(stores.keys.subscribers(report.pointer.redis).recommendation(isdn), 'priority_score')).toBe(String(recommendation['priority_score']));
      expect((await stores.pool.query(`select state from ut360.loads order by id`)).rows.map(({ state }: { state: string }) => state)).toEqual(['done', 'abandoned', 'done']);
      // Nothing of the killed one is left.
      const generations = new Set((await stores.redis.keys('ut360:*')).map((key) => key.split(':')[1]));
      expect(generations).toEqual(new Set(['1', 'current', String(report.pointer.redis)]));
    } finally {
      await stores.close();
    }
  });
});

describeWith('shared', 'files of others', () => {
  it('are loaded by a mapping: a real one with blanks, and a damaged one is refused', async () => {
    const stores = await startStores();
    const telco = { path: join(testServer('shared'), 'data/telco/ibm_telco_churn.csv.gz') };
    try {
      const mappings = parseMappings(JSON.stringify({ recommendations: { isdn: 'customerID', service_type: 'InternetService', bad_debt_risk: { default: 'LOW' }, advance_amount: 'MonthlyCharges', revenue_per_advance: 'TotalCharges', cluster_group: 'Contract' } }));
      const report = await stores.load({ recommendations: telco }, { mappings, limit: { rows: 0 } });
      expect(report.counts).toMatchObject({ recommendations: 7_043, 'cluster:Two year': expect.any(Number) });
      expect((await stores.pool.query('select count(*)::int as blanks from ut360.recommendations where revenue_per_advance is null')).rows).toEqual([{ blanks: 11 }]);
      for (const [name, column] of [['ARROW-GH-43605', 'min_fl'], ['ARROW-GH-45185', 'x']])
        await expect(stores.load({ recommendations: { path: join(testServer('shared'), `data/parquet/bad/${name}.parquet`) } }, { mappings: { recommendations: { isdn: { column }, service_type: { default: 'A' }, bad_debt_risk: { default: 'LOW' } } } })).rejects.toBeInstanceOf(LoadRefusedError);
    } finally {
      await stores.close();
    }
  });
});

describe('a Redis Cluster', () => {
  it('holds a generation in buckets, and goes back and is cleared like a single server', async () => {
    const stores = await startStores({ redisUrl: testServer('redis-cluster') });
    try {
      const paths = await writeSampleFiles({ count: 300, directory: stores.directory });
      const files = { recommendations: { path: paths.recommendations }, profiles: { path: paths.profiles }, arpu: { path: paths.arpu } };
      await stores.load(files);
      const report = await stores.load(files, { aliasKeys: true });
      expect(await verifyGenerations({ ...stores, keep: 1, repair: false })).toMatchObject({ problems: [], pointer: { redis: 2 } });
      const { isdn, recommendation } = sampleSubscriber(5);
      const names = stores.keys.subscribers(report.pointer.redis);
      expect(names.recommendation(isdn)).toMatch(/^ut360:2:\{b\d+\}:rec:/);
      expect(await stores.redis.hget(names.recommendation(isdn), 'priority_score')).toBe(String(recommendation['priority_score']));
      expect(await stores.redis.hget(stores.keys.subscribers().recommendation(isdn), 'priority_score')).toBe(String(recommendation['priority_score']));
      expect((await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys))).pointer.redis).toBe(1);
      expect(JSON.parse((await stores.redis.get(stores.keys.subscriberPointer(isdn))) ?? '')).toMatchObject({ redis: 1 });
    } finally {
      await stores.close();
    }
  });
});
