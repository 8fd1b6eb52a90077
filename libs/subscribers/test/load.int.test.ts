import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sampleSubscriber, writeSampleFiles } from '@millrace/sample-subscribers';
import { listSets, readPointer, readSubscribers, rollBack, underLoadLock, verifyGenerations } from '../src/index.ts';
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

  it('writes whatever characters, gaps and blanks the files have, just as Postgres answers them', async () => {
    const [odd, lonely, plain] = ['khách-hàng-đặc-biệt', 'only-arpu/+=', '84912345678'];
    const files = {
      recommendations: { path: await stores.file('odd.csv', `isdn,service_type,bad_debt_risk,cluster_group,priority_score,note\n${odd},"Dữ ""liệu""\tB\\n\nC",LOW,,1.50,ghi chú\n${plain},DATA,HIGH,3,,\n`) },
      profiles: { path: await stores.file('odd-profiles.csv', `isdn,risk_factors,insights,cluster_name\n${odd},"[""a\\""b\\n""]",{},Nhóm 🙂\n`) },
      arpu: { path: await stores.file('odd-arpu.csv', `isdn,data_month,arpu_call,arpu_sms,arpu_data,arpu_total\n${odd},2026-10,4,,-1.50,2\n${odd},2026-07,1,0,0,1\n${odd},2023-01,9,9,9,9\n${lonely},2024-11,1,2,3,6\n`) },
    };
    const { counts, pointer } = await stores.load(files);
    expect(counts).toMatchObject({ subscribers: 3, recommendations: 2, profiles: 1, arpu_subscribers: 2, profiles_without_recommendation: 0, arpu_without_profile: 1, 'service:Dữ "liệu"\tB\\n\nC': 1 });
    const names = stores.keys.subscribers(pointer.redis);
    const found = await readSubscribers(stores.pool, pointer, [odd, lonely, plain, 'nobody-at-all']);
    expect(found.map(({ isdn }) => isdn)).toEqual([plain, odd, lonely].toSorted());
    for (const { isdn, recommendation, profile, body } of found) {
      expect(Object.entries(await stores.redis.hgetall(names.profile(isdn))).flat().toSorted()).toEqual(profile.toSorted());
      expect(Object.entries(await stores.redis.hgetall(names.recommendation(isdn))).flat().toSorted()).toEqual((recommendation ?? []).toSorted());
      expect(await stores.redis.get(names.body(isdn))).toBe(body);
    }
    expect(JSON.parse(`{${await stores.redis.get(names.body(odd))}`)).toMatchObject({
      recommendation: { service_type: 'Dữ "liệu"\tB\\n\nC', cluster_group: null, priority_score: 1.5, extra: { note: 'ghi chú' } }, profile: { risk: { factors: ['a"b\n'] }, clustering: { name: 'Nhóm 🙂' }, insights: {} },
    });
    expect(await stores.redis.hget(names.profile(odd), 'monthly_arpu')).toBe('{"from":"2026-07","call":[1,null,null,4],"sms":[0,null,null,null],"data":[0,null,null,-1.50],"total":[1,null,null,2]}');
    expect(await stores.redis.hget(names.profile(lonely), 'monthly_arpu')).toBe('{"from":"2024-11","call":[1],"sms":[2],"data":[3],"total":[6]}');
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual([]);
  });
});
