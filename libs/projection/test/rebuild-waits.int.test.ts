import { afterAll, expect, it } from '@jest/globals';
import { createKysely, createPool } from '@millrace/database';
import { createTestDatabase, eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { createRebuildJournal, createRebuildsTable } from '../src/index.ts';
import { createWorld, finished, startRunner } from './rebuild-kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 4 });
const db = createKysely<unknown>(pool);
await sql`create schema if not exists search`.execute(db);
await createRebuildsTable(db, 'search');
const journal = createRebuildJournal(db, 'search');
afterAll(async () => {
  await pool.end();
  await database.drop();
});

it('a rebuild waits for what says when to come again, a quota say, however often: it never fails by that, keeps its target, and tells why', async () => {
  const world = createWorld();
  for (let n = 0; n < 30; n += 1) world.write(`p${n}`, n + 1);
  let waits = 0;
  const { fill } = world.store;
  const quota = Object.assign(new Error('the quota is used up'), { retryAfterMs: 1 });
  Object.assign(world.store, { fill: async (...[target, changes]: Parameters<typeof fill>) => (waits < 25 ? Promise.reject(Object.assign(quota, { waits: (waits += 1) })) : fill(target, changes)) });
  const runner = startRunner(world, { journal });
  const { id } = await runner.request();
  await eventually(async () => (await journal.find(id))?.error === 'the quota is used up');
  const job = await eventually(async () => {
    const found = await journal.find(id);
    return found !== undefined && finished(found) && found;
  });
  await runner.close();
  expect([job.phase, waits, world.state.made, world.found()]).toEqual(['done', 25, 1, world.truth()]);
});

it('a rebuild whose swap failed after it was visible ends that swap before it is done', async () => {
  const world = createWorld();
  world.write('p', 1);
  const { swap } = world.store;
  let tries = 0;
  const swapped: string[] = [];
  Object.assign(world.store, {
    swap: async (target: string) => {
      await swap(target);
      tries += 1;
      if (tries === 1) throw new Error('broken off before its second half');
      swapped.push(target);
    },
  });
  const runner = startRunner(world, { journal });
  const { id } = await runner.request();
  const job = await eventually(async () => {
    const found = await journal.find(id);
    return found !== undefined && finished(found) && found;
  });
  await runner.close();
  expect([job.phase, swapped, world.state.live]).toEqual(['done', [job.target], job.target]);
});
