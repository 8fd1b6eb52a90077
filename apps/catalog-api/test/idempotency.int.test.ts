import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createTestDatabase, eventually, uniqueName } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import type { Pool } from 'pg';
import type { CatalogSchema } from '../src/database.ts';
import { createIdempotencyStore } from '../src/idempotency.repository.ts';
import { migrations } from '../src/migrations/index.ts';

const reply = { status: 200, body: { stock: 4 } };
let database: TestDatabase;
let pool: Pool;
let db: ReturnType<typeof createKysely<CatalogSchema>>;
let store: ReturnType<typeof createIdempotencyStore>;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, name: 'idempotency', max: 4 });
  db = createKysely<CatalogSchema>(pool);
  await migrateSchema(createKysely<unknown>(pool), migrations);
  store = createIdempotencyStore(db);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function begin(): Promise<{ readonly key: string; readonly claim: string }> {
  const key = uniqueName('key');
  const begun = await store.begin(key, 'same');
  if (begun.state !== 'new') throw new Error(begun.state);
  return { key, claim: begun.claim };
}

describe('the reply to an Idempotency-Key', () => {
  it('is there with its effect, also where the answer to the commit got lost and the request counts as failed', async () => {
    const { key, claim } = await begin();
    await db.transaction().execute((trx) => store.keep(trx, key, claim, reply));
    await store.abort(key, claim);
    expect(await store.begin(key, 'same')).toEqual({ state: 'done', fingerprint: 'same', reply });
  });
  it('is there, too, where the request counts as failed while its commit is under way', async () => {
    const { key, claim } = await begin();
    let aborting: Promise<void> | undefined;
    await db.transaction().execute(async (trx) => {
      await store.keep(trx, key, claim, reply);
      aborting = store.abort(key, claim);
      await eventually(async () => (await pool.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rowCount === 1);
    });
    await aborting;
    expect(await store.begin(key, 'same')).toMatchObject({ state: 'done' });
  });
  it('is not kept by a request that another one has taken over, so that this one has no effect', async () => {
    const { key, claim } = await begin();
    await pool.query(`update catalog.idempotency_keys set locked_until = now() - interval '1 second' where key = $1`, [key]);
    expect(await store.begin(key, 'same')).toMatchObject({ state: 'new' });
    await expect(db.transaction().execute((trx) => store.keep(trx, key, claim, reply))).rejects.toMatchObject({ code: 'conflict' });
  });
  it('of a request that failed is not there: it may be tried again', async () => {
    const { key, claim } = await begin();
    await store.abort(key, claim);
    expect(await store.begin(key, 'same')).toMatchObject({ state: 'new' });
  });
});
