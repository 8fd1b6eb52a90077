import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase, eventually } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import { sql } from 'kysely';
import { checkSchemaVersion, createKysely, createPool, migrateSchema, waitForSchema } from '../src/index.ts';
import type { SchemaMigrations } from '../src/index.ts';

let database: TestDatabase;
const pool = () => createPool({ url: database.url, name: 'test', max: 2 });
const step = (statement: string): SchemaMigrations['migrations'][string] => ({ up: async (db) => void (await sql.raw(statement).execute(db)) });
const one: SchemaMigrations = { schema: 'things', migrations: { '001-first': step('create table things.first (id int)') } };
const two: SchemaMigrations = { schema: 'things', migrations: { ...one.migrations, '002-second': step('create table things.second (id int)') } };

beforeEach(async () => { database = await createTestDatabase(); });
afterEach(() => database.drop());

describe('a service and its schema', () => {
  it('waits, saying what to do, until the schema is there, and works with a newer one', async () => {
    const db = createKysely<unknown>(pool());
    const told: unknown[] = [];
    const waiting = waitForSchema(db, one, { warn: (fields) => void told.push(fields) });
    await eventually(() => told.length > 0);
    await expect(checkSchemaVersion(db, one)).rejects.toThrow('the schema things is at none, this service needs 001-first: run "millrace migrate"');
    expect(await migrateSchema(db, one)).toEqual(['001-first']);
    await waiting;
    expect(told).toMatchObject([{ schema: 'things' }]);
    await expect(checkSchemaVersion(db, two)).rejects.toThrow('is at 001-first');
    expect(await migrateSchema(db, two)).toEqual(['002-second']);
    expect(await migrateSchema(db, two)).toEqual([]);
    await expect(checkSchemaVersion(db, one)).resolves.toBeUndefined();
    await db.destroy();
  });
  it('names the migration that failed, and keeps what was there', async () => {
    const db = createKysely<unknown>(pool());
    await migrateSchema(db, two);
    const broken = { ...two, migrations: { ...two.migrations, '003-broken': step('create table nowhere.third (id int)') } };
    await expect(migrateSchema(db, broken)).rejects.toThrow('migration things/003-broken failed');
    await expect(checkSchemaVersion(db, two)).resolves.toBeUndefined();
    await db.destroy();
  });
});
