import { afterAll, describe, expect, it } from '@jest/globals';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHealth, createLogger } from '@millrace/service';
import { createTestDatabase, eventually, startTunnel, uniqueName } from '@millrace/testing';
import { Registry } from 'prom-client';
import type { RecsSchema } from '../src/database.ts';
import { createErasedUsers } from '../src/erase-users.ts';
import { changeExperiments, insertExperiment, listExperiments } from '../src/experiment.repository.ts';
import { migrations } from '../src/migrations/index.ts';
import { openDatabases } from '../src/open-databases.ts';
import { createRankingLog } from '../src/ranking-log.ts';
import { listRebuilds } from '../src/rebuild.repository.ts';
import { createNameBook } from '../src/user-names.ts';

const database = await createTestDatabase();
const owner = createPool({ url: database.url, name: 'owner', max: 2 });
await migrateSchema(createKysely<unknown>(owner), migrations);
const logger = createLogger('test', 'silent');
const closing: (() => unknown)[] = [];
const { db, locking } = await openDatabases({ RECOMMENDER_DATABASE_URL: database.url }, { logger, health: createHealth(), onClose: (step) => closing.push(step) });
afterAll(async () => {
  for (const step of closing) await step();
  await owner.end();
  await database.drop();
});

/** Another instance that stands still in the middle of a merge, an erasure and a change of an experiment. */
async function standStill(): Promise<() => Promise<void>> {
  const client = await owner.connect();
  await client.query('begin');
  for (const lock of ['millrace:recs:names', 'millrace:recs:erased']) await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [lock]);
  await client.query('update recs.experiment_state set revision = revision');
  return async () => {
    await client.query('rollback');
    client.release();
  };
}

const isRefusal = (error: unknown): boolean => error instanceof Error && (('code' in error && error.code === '55P03') || isRefusal(error.cause));
const variants = [{ key: 'a', weight: 1, settings: {} }, { key: 'b', weight: 1, settings: {} }];
const erased = createErasedUsers({ db, locking, secret: 's'.repeat(32) });
const log = createRankingLog({ logger, metrics: new Registry(), erased });
const names = createNameBook({ db, locking, onFailure: () => undefined, moveCounts: async () => undefined, waitMs: 2_000 });
const merged = () => ({ type: 'merged' as const, from: uniqueName('from'), to: uniqueName('to'), meta: { id: uniqueName('m'), timestamp: '', schema: 1 } });
const create = (key: string) => changeExperiments(locking, (trx) => insertExperiment(trx, { key, description: 'd', variants, audience: 1, conversion_days: 7 }));
const serve = (rankingId: string) => log.add({ rankingId, userId: 'u', kind: 'recommendations', servedAtMs: Date.now(), items: [{ sku: 'a', stage: 'popular' }] });

describe('while another instance holds the locks of erasures, merges and experiments', () => {
  it('reads are answered, however many wait for the locks, and what waits is done afterwards', async () => {
    const goOn = await standStill();
    serve('9b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a12');
    let refusals = 0;
    /** Sends again what gave up after 3 s. */
    const insist = async (work: () => Promise<unknown>): Promise<unknown> => {
      try {
        return await work();
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refusals += 1;
        return insist(work);
      }
    };
    const merges = [merged(), merged()];
    const waiting = [log.flush(), ...['1', '2'].map((user) => insist(() => erased.add([user]))), ...merges.map((merge) => insist(() => names.keep([merge]))), ...['late', 'later'].map((key) => insist(() => create(key)))];
    const experiments = await eventually(async () => {
      const before = refusals;
      await eventually(async () => (await owner.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rowCount === 4);
      const [listed] = await Promise.all([listExperiments(db), listRebuilds(db, 10), names.find('somebody'), erased.refresh()]);
      // A read that needed a connection of those that wait would have it when one of them gives up.
      return refusals === before && listed;
    });
    expect(experiments).toEqual([]);
    await goOn();
    await Promise.all(waiting);
    expect((await listExperiments(db)).map(({ key }) => key).toSorted()).toEqual(['late', 'later']);
    expect((await owner.query('select 1 from recs.rankings')).rowCount).toBe(1);
    await log.close();
  });

  it('a served list is written although Postgres could not be reached at first', async () => {
    const tunnel = await startTunnel(database.url);
    const pool = createPool({ url: tunnel.url, name: 'tunnelled', max: 1 });
    const locked = createKysely<RecsSchema>(pool);
    const metrics = new Registry();
    const there = createRankingLog({ logger, metrics, erased: createErasedUsers({ db, locking: locked, secret: 's'.repeat(32) }) });
    tunnel.drop(true);
    const rankingId = '9b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a13';
    there.add({ rankingId, userId: 'u', kind: 'recommendations', servedAtMs: Date.now(), items: [{ sku: 'a', stage: 'popular' }] });
    await expect(there.flush()).rejects.toThrow();
    tunnel.drop(false);
    await eventually(async () => (await owner.query('select 1 from recs.rankings where ranking_id = $1', [rankingId])).rowCount === 1);
    expect(await metrics.getSingleMetricAsString('recs_rankings_dropped_total')).toContain('total 0');
    await there.close();
    await pool.end();
    tunnel.close();
  });

  it('a change of an experiment is given up after 3 s', async () => {
    const goOn = await standStill();
    await expect(create('never')).rejects.toMatchObject({ code: '55P03' });
    await goOn();
    expect((await listExperiments(db)).map(({ key }) => key)).not.toContain('never');
  });
});
