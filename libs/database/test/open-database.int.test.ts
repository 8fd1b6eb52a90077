import { describe, expect, it } from '@jest/globals';
import { createHealth, createLogger } from '@millrace/service';
import { createTestDatabase, eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { createKysely, createPool, migrateSchema, openDatabase } from '../src/index.ts';
import type { SchemaMigrations } from '../src/index.ts';

const migrations: SchemaMigrations = { schema: 'things', migrations: { '001-first': { up: async (db) => void (await sql.raw('create table things.first (id int)').execute(db)) } } };

describe('the database of a service', () => {
  it('is there once its schema is migrated, makes the service not ready where it is not, and is closed with it', async () => {
    const database = await createTestDatabase();
    const owner = createKysely<unknown>(createPool({ url: database.url, name: 'owner', max: 1 }));
    const health = createHealth();
    health.started();
    const steps: (() => unknown)[] = [];
    const opening = openDatabase({ url: database.url, name: 'test', max: 2, migrations }, { logger: createLogger('test', 'silent'), health, onClose: (step) => steps.push(step) });
    expect((await health.readiness()).checks).toEqual({ phase: 'running' });
    await migrateSchema(owner, migrations);
    const db = await opening;
    expect((await health.readiness()).checks).toEqual({ phase: 'running', database: 'ok' });
    for (const step of steps) await step();
    await expect(sql`select 1`.execute(db)).rejects.toThrow();
    expect(await eventually(async () => !(await health.readiness()).ready)).toBe(true);
    await owner.destroy();
    await database.drop();
  });
});
