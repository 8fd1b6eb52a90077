import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import type { Pool, PoolClient } from 'pg';
import { createPool, inTransaction } from '../src/index.ts';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, name: 'test', max: 1 });
  await pool.query('create table notes (text text primary key)');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
const add = (client: PoolClient, text: string) => client.query('insert into notes values ($1)', [text]);
const notes = async (): Promise<string[]> => (await pool.query<{ text: string }>('select text from notes order by text')).rows.map(({ text }) => text);

describe('a transaction', () => {
  it('commits what was done, and gives what the work gives', async () => {
    expect(await inTransaction(pool, async (client) => (await add(client, 'a')).rowCount)).toBe(1);
    expect(await notes()).toEqual(['a']);
  });
  it('leaves nothing where the work rejects, and the connection can be used again', async () => {
    const before = await notes();
    await expect(inTransaction(pool, async (client) => {
      await add(client, 'b');
      throw new Error('no');
    })).rejects.toThrow('no');
    expect(await notes()).toEqual(before);
  });
  it('rejects with the first failure where its connection breaks, and another one is used then', async () => {
    const before = await notes();
    await expect(inTransaction(pool, async (client) => {
      await add(client, 'c');
      await client.query('select pg_terminate_backend(pg_backend_pid())');
    })).rejects.toThrow('terminating connection');
    expect(await notes()).toEqual(before);
  });
});
