import { afterAll, describe, expect, it } from '@jest/globals';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { sql } from 'kysely';
import { createKysely, createPool, LOCK_NOT_AVAILABLE } from '../src/index.ts';

const name = uniqueName('pool');
const warnings: string[] = [];
const logger = { warn: (_fields: object, message: string) => void warnings.push(message) } as never;
const pool = createPool({ url: testServer('postgres'), name, max: 2, logger });
const admin = createPool({ url: testServer('postgres'), name: 'pool-admin', max: 1 });
afterAll(async () => {
  await pool.end();
  await admin.end();
});
const breakAll = () => admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [name]);

describe('a pool whose connections break', () => {
  it('rejects the next query of a transaction that stands idle, and goes on with another connection', async () => {
    const client = await pool.connect();
    await client.query('begin');
    await breakAll();
    await eventually(() => warnings.length > 0);
    await expect(client.query('select 1')).rejects.toThrow();
    client.release(true);
    expect((await pool.query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });
  it('rejects a transaction of Kysely, and goes on with another connection', async () => {
    const db = createKysely<unknown>(pool);
    const broken = db.transaction().execute(async (trx) => {
      await sql`select 1`.execute(trx);
      await breakAll();
      await eventually(() => warnings.length > 1);
      await sql`select 1`.execute(trx);
    });
    await expect(broken).rejects.toThrow();
    expect((await sql<{ one: number }>`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  });
});

describe('a pool with bounds for locks', () => {
  it('gives up waiting for a lock, and ends a transaction that stands still, with its locks', async () => {
    const patient = createPool({ url: testServer('postgres'), name, max: 1, logger, lockTimeoutMs: 50 });
    const still = createPool({ url: testServer('postgres'), name, max: 1, logger, idleTransactionTimeoutMs: 2_000 });
    await patient.query('select 1');
    const client = await still.connect();
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock(hashtext($1))', [name]);
    const lock = (): Promise<unknown> => patient.query('select pg_advisory_xact_lock(hashtext($1))', [name]);
    await expect(lock()).rejects.toMatchObject({ code: LOCK_NOT_AVAILABLE });
    expect(await eventually(() => lock().then(() => true, () => false))).toBe(true);
    await expect(client.query('select 1')).rejects.toThrow();
    client.release(true);
    await Promise.all([patient.end(), still.end()]);
  });
});
