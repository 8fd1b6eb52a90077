import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createMemoryBus } from '@millrace/bus';
import { createTestTopic, duplicate, publishAll, randomFail, shuffle } from '@millrace/bus/testing';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Pool } from 'pg';
import { createInboxTable, forgetHandledEvents, onceByEventId } from '../src/index.ts';

interface Schema {
  readonly effects: { n: number };
}

const schema = uniqueName('inbox');
const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: new Pool({ connectionString: testServer('postgres'), max: 4 }) }) }).withSchema(schema);
const inbox = { schema, group: 'g' };
const event = (id: string) => ({ meta: { id } });

beforeAll(async () => {
  await sql`create schema ${sql.id(schema)}`.execute(db);
  await sql`create table ${sql.id(schema, 'effects')} (n integer not null)`.execute(db);
  await createInboxTable(db, { schema });
});
afterAll(async () => {
  await sql`drop schema ${sql.id(schema)} cascade`.execute(db);
  await db.destroy();
});

describe('onceByEventId', () => {
  it('gives each event to one transaction, once, in order, and again where that one was rolled back', async () => {
    const first = await db.transaction().execute((trx) => onceByEventId(trx, inbox, [event('b'), event('a'), event('b')]));
    expect(first.map(({ meta }) => meta.id)).toEqual(['b', 'a']);
    await expect(
      db.transaction().execute(async (trx) => {
        expect(await onceByEventId(trx, inbox, [event('a'), event('c')])).toEqual([event('c')]);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    expect(await db.transaction().execute((trx) => onceByEventId(trx, inbox, [event('c'), event('b')]))).toEqual([event('c')]);
    expect(await db.transaction().execute((trx) => onceByEventId(trx, { ...inbox, group: 'other' }, [event('c')]))).toEqual([event('c')]);
    expect(await db.transaction().execute((trx) => onceByEventId(trx, inbox, []))).toEqual([]);
  });

  it('has one effect for each event of a bus that repeats, shuffles and fails', async () => {
    const bus = createMemoryBus({ claimIdleMs: 300 });
    const topic = createTestTopic();
    await publishAll(bus, topic, 300);
    for (let consumer = 0; consumer < 3; consumer += 1)
      await bus.subscribe(topic, { group: 'g', batchSize: 20 }, randomFail(0.1)(duplicate(shuffle()(async (events) => {
        await db.transaction().execute(async (trx) => {
          const fresh = await onceByEventId(trx, inbox, events);
          if (fresh.length > 0) await trx.insertInto('effects').values(fresh.map(({ n }) => ({ n }))).execute();
        });
      }))));
    await eventually(() => bus.lag(topic, 'g').messages === 0);
    await bus.close();
    const effects = await db.selectFrom('effects').select('n').orderBy('n').execute();
    expect(effects.map(({ n }) => n)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });

  it('forgets what was handled long ago', async () => {
    await db.transaction().execute((trx) => onceByEventId(trx, inbox, [event('old')]));
    await sql`update ${sql.id(schema, 'handled_events')} set handled_at = now() - interval '61 days' where event_id = 'old'`.execute(db);
    expect(await forgetHandledEvents(db, { schema })).toBe(1);
    expect(await forgetHandledEvents(db, { schema })).toBe(0);
  });
});
