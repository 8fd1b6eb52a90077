import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createPool } from '@millrace/database';
import { sampleSubscriber } from '@millrace/sample-subscribers';
import { describeWith, eventually, startPostgresPair, startTunnel } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 60;
const one = sampleSubscriber(7);

describeWith('postgres-bin', 'ut360-lookup with a replica of Postgres', () => {
  const closing: (() => unknown)[] = [];
  let plane: Plane;
  let tunnel: Tunnel;
  let instance: Instance;
  let replica: ReturnType<typeof createPool>;
  const asked = async (event: string): Promise<number> => await instance.metric('ut360_replica_reads_total', event);
  /** Redis has lost this one. */
  const lookUp = async (): Promise<unknown> => {
    await plane.stores.redis.del(plane.stores.keys.subscribers(instance.pointer.current.redis).body(one.isdn));
    const { status, body } = await instance.call('GET', `/api/ut360/subscribers/${encodeURIComponent(one.isdn)}?months=1`);
    expect(status).toBe(200);
    return body;
  };
  const inStep = (): Promise<unknown> => eventually(async () => {
    const { rows: [primary] } = await plane.stores.pool.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
    return (await replica.query<{ done: boolean }>('select pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [primary?.lsn])).rows[0]?.done;
  });
  beforeAll(async () => {
    const pair = await startPostgresPair();
    closing.push(() => pair.stop());
    plane = await startPlane({ database: { url: pair.primaryUrl, drop: async () => undefined } });
    closing.push(() => plane.close());
    await plane.load({ count: COUNT });
    replica = createPool({ url: pair.replicaUrl, name: 'test', max: 1 });
    closing.push(() => replica.end());
    tunnel = await startTunnel(pair.replicaUrl);
    closing.push(() => tunnel.close());
    await inStep();
    instance = await plane.startInstance({ DATABASE_REPLICA_URL: tunnel.url, UT360_QUERY_TIMEOUT_MS: '30000' }, ['ut360:read', 'pii:read']);
  });
  afterAll(async () => {
    for (const step of closing.toReversed()) await step();
  });

  it('reads there what Redis has not, lists without an index, and analytics; what it writes goes to the primary', async () => {
    expect(await lookUp()).toMatchObject({ recommendation: one.recommendation, freshness: { profile: { source: 'postgres' } } });
    expect(await asked('replica')).toBe(1);
    await plane.stores.redis.del(plane.stores.keys.subscribers(1).service('DATA_ADVANCE'));
    expect((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=2')).body).toMatchObject({ data: [{}, {}] });
    expect((await instance.call('GET', '/api/ut360/analytics')).body).toMatchObject({ generation: 1, totals: { subscriber_count: COUNT } });
    expect(await asked('replica')).toBeGreaterThanOrEqual(4);
    expect([await asked('behind'), await asked('failed')]).toEqual([0, 0]);
    expect((await instance.call('GET', `/api/ut360/recommendations/${encodeURIComponent(one.isdn)}?unmask=true`)).body).toMatchObject({ isdn: one.isdn });
  });

  it('asks the primary while the replica is behind a load or an erasure, and the replica again once it is in step', async () => {
    await replica.query('select pg_wal_replay_pause()');
    await plane.load({ count: COUNT, lastMonth: '2026-11', seed: 1 });
    await instance.pointer.refresh();
    const before = await asked('replica');
    expect(await lookUp()).toMatchObject({ arpu: [{ month: '2026-11' }], freshness: { arpu: { generation: 2 } } });
    expect((await instance.call('GET', '/api/ut360/analytics')).body).toMatchObject({ generation: 2 });
    expect(await asked('replica')).toBe(before);
    expect(await asked('behind')).toBeGreaterThan(0);
    await replica.query('select pg_wal_replay_resume()');
    await eventually(async () => {
      await lookUp();
      return (await asked('replica')) > before;
    });
    await replica.query('select pg_wal_replay_pause()');
    // As an erasure does it.
    await plane.stores.pool.query('update ut360.pointer set version = version + 1');
    await instance.pointer.refresh();
    const known = await asked('replica');
    await lookUp();
    expect(await asked('replica')).toBe(known);
    await replica.query('select pg_wal_replay_resume()');
  });

  it('is answered by the primary while the replica hangs or is away', async () => {
    await inStep();
    instance = await plane.startInstance({ DATABASE_REPLICA_URL: tunnel.url, UT360_QUERY_TIMEOUT_MS: '3000' });
    await eventually(async () => {
      await lookUp();
      return (await asked('replica')) > 0;
    });
    const failed = await asked('failed');
    tunnel.swallow(true);
    expect(await lookUp()).toMatchObject({ recommendation: one.recommendation });
    expect(await asked('failed')).toBe(failed + 1);
    tunnel.drop(true);
    instance = await plane.startInstance({ DATABASE_REPLICA_URL: tunnel.url });
    expect(await lookUp()).toMatchObject({ freshness: { profile: { source: 'postgres' } } });
    expect(await asked('failed')).toBe(1);
  });
});
