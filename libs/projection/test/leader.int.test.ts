import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, uniqueName } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import { Client } from 'pg';
import { runAsLeader } from '../src/index.ts';

let database: TestDatabase;
beforeAll(async () => { database = await createTestDatabase(); });
afterAll(() => database.drop());

describe('runAsLeader', () => {
  it('runs on one instance at a time, and again after the first is done', async () => {
    const deps = { directUrl: database.url, lock: uniqueName('lock') };
    const first = await runAsLeader(deps, async () => runAsLeader(deps, async () => 'second'));
    expect(first).toEqual({ result: undefined });
    expect(await runAsLeader(deps, async () => 'third')).toEqual({ result: 'third' });
  });
  it('tells the work when its lock is lost', async () => {
    const lock = uniqueName('lock');
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    const done = await runAsLeader({ directUrl: database.url, lock }, async (lost) => {
      const told = new Promise<string>((resolve) => lost.addEventListener('abort', () => resolve(String(lost.reason)), { once: true }));
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [`leader:${lock}`]);
      return told;
    });
    await admin.end();
    expect(done?.result).toContain(`the lock ${lock} is lost`);
  });
});
