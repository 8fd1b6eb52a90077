import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sampleSubscriber, writeSampleFiles } from '@millrace/sample-subscribers';
import { listSets, readPointer, rollBack, underLoadLock } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const COUNT = 1_500;

describe('loadFiles', () => {
  let stores: TestStores;
  let paths: Awaited<ReturnType<typeof writeSampleFiles>>;
  beforeAll(async () => {
    stores = await startStores();
    paths = await writeSampleFiles({ count: COUNT, directory: stores.directory });
  });
  afterAll(() => stores.close());

  it('brings three files into both stores and makes them live together', async () => {
    const report = await stores.load({ recommendations: { path: paths.recommendations }, profiles: { path: paths.profiles }, arpu: { path: paths.arpu } });
    expect(report).toMatchObject({ state: 'done', counts: { subscribers: COUNT, recommendations: COUNT, profiles: COUNT, arpu_subscribers: COUNT }, pointer: { recommendations: 1, profiles: 1, arpu: 1, redis: 1, version: 1 } });
    expect(report.datasets.map(({ rows, bad_rows }) => [rows, bad_rows])).toEqual([[COUNT, 0], [COUNT, 0], [expect.any(Number), 0]]);
    const { isdn, recommendation, months } = sampleSubscriber(7);
    const names = stores.keys.subscribers(1);
    expect(await stores.redis.hgetall(names.recommendation(isdn))).toEqual(Object.fromEntries(Object.entries(recommendation).map(([name, value]) => [name, String(value)])));
    const profile = await stores.redis.hgetall(names.profile(isdn));
    expect(Object.keys(profile).toSorted()).toEqual(['arpu_stats', 'basic', 'clustering', 'insights', 'kpi_scores', 'monthly_arpu', 'revenue', 'risk', 'topup']);
    expect(JSON.parse(profile['monthly_arpu'] ?? '')).toMatchObject({ from: months[0]?.data_month.slice(0, 7) });
    expect(JSON.parse(`{${await stores.redis.get(names.body(isdn))}`)).toMatchObject({ recommendation, profile: { kpi_scores: { customer_value: recommendation['customer_value_score'] } } });
    expect(JSON.parse((await stores.redis.get('ut360:current')) ?? '')).toEqual(await readPointer(stores.pool));
    expect((await stores.pool.query('select count(*)::int as count from ut360.recommendations')).rows).toEqual([{ count: COUNT }]);
  });

  it('leaves the datasets that it does not load as they are, and goes back to the set before', async () => {
    const report = await stores.load({ recommendations: { path: paths.recommendations } });
    expect(report.pointer).toMatchObject({ recommendations: 2, profiles: 1, arpu: 1, redis: 2 });
    expect((await listSets(stores.pool)).map(({ redis, isLive }) => [redis, isLive])).toEqual([[2, true], [1, false], [0, false]]);
    const { pointer } = await underLoadLock(stores.pool, (client) => rollBack(client, stores.redis, stores.keys));
    expect(pointer).toMatchObject({ recommendations: 1, redis: 1, version: 3 });
    expect(JSON.parse((await stores.redis.get('ut360:current')) ?? '')).toMatchObject({ redis: 1, version: 3 });
  });
});
