import { mkdtemp, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, uniqueName } from '@millrace/testing';
import type { TestDatabase } from '@millrace/testing';
import { Client } from 'pg';
import { createKey, createPageKey, listKeys, revokeKey, rotateKey, showKey } from '../src/commands/keys.ts';
import { migrate } from '../src/commands/migrate.ts';
import { loadMigrations } from '../src/load-migrations.ts';
import { services } from '../src/services.ts';

let database: TestDatabase;
let rolesFile: string;
const run = () => migrate({ databaseUrl: database.url, rolesFile, given: {}, loadMigrations, print: () => undefined });
const urls = async (): Promise<Map<string, string>> => new Map((await readFile(rolesFile, 'utf8')).trim().split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));

beforeAll(async () => {
  database = await createTestDatabase();
  rolesFile = join(await mkdtemp(join(tmpdir(), 'millrace-roles-')), 'roles.env');
  await run();
});
afterAll(() => database.drop());

async function asRole<T>(variable: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: (await urls()).get(variable) ?? '' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

describe('millrace migrate', () => {
  it('writes the URL of each service, readable by its owner only', async () => {
    expect([...(await urls()).keys()]).toEqual(services.map((service) => service.variable));
    expect((await stat(rolesFile)).mode & 0o777).toBe(0o600);
  });
  it.each(services.map(({ app, variable, schema }) => [app, variable, schema] as const))('lets %s into its own schema and nowhere else', async (_app, variable, schema) => {
    await asRole(variable, async (client) => {
      const tables = await client.query<{ schema: string; name: string }>(`select schemaname as schema, tablename as name from pg_tables where schemaname = any($1) and tablename not like 'kysely%'`, [services.map((service) => service.schema)]);
      expect(tables.rows.length).toBeGreaterThan(5);
      for (const { schema: other, name } of tables.rows) {
        const read = client.query(`select 1 from ${other}.${name} limit 1`);
        if (other === schema) await expect(read).resolves.toBeDefined();
        else await expect(read).rejects.toMatchObject({ code: '42501' });
      }
      await expect(client.query('create table public.x (a int)')).rejects.toMatchObject({ code: '42501' });
      await expect(client.query('create schema y')).rejects.toMatchObject({ code: '42501' });
    });
  });
  it('keeps the passwords when it runs again', async () => {
    const before = await urls();
    await run();
    expect(await urls()).toEqual(before);
    await asRole('CATALOG_API_DATABASE_URL', async (client) => client.query('select 1'));
  });
  it('lets the gateway rotate and revoke keys, which writes its outbox, make partitions of it, and read what it shows', async () => {
    const { id } = await createKey(database.url, 'of a role', ['search:read']);
    await asRole('GATEWAY_DATABASE_URL', async (client) => {
      expect((await client.query('select gateway.rotate_key($1, $2, 60) as rotated', [id, uniqueName('hash')])).rows).toEqual([{ rotated: true }]);
      await client.query('update gateway.api_keys set revoked_at = now() where id = $1', [id]);
      expect((await client.query('select 1 from gateway.outbox where key = $1', [id])).rows).toHaveLength(2);
      expect((await client.query('select state, old_secret_until from gateway.listed_keys where id = $1', [id])).rows).toEqual([{ state: 'revoked', old_secret_until: null }]);
      await client.query(`create table gateway.outbox_published_test partition of gateway.outbox_published for values from ('2001-01-01') to ('2001-01-02')`);
      await client.query('drop table gateway.outbox_published_test');
    });
  });
  it('lets the catalogue make and drop partitions of what it has published', async () => {
    const ddl = asRole('CATALOG_API_DATABASE_URL', async (client) => {
      await client.query(`create table catalog.outbox_published_test partition of catalog.outbox_published for values from ('2001-01-01') to ('2001-01-02')`);
      await client.query('drop table catalog.outbox_published_test');
    });
    await expect(ddl).resolves.toBeUndefined();
  });
  it('lets the catalogue create merchants with and without an id', async () => {
    const written = asRole('CATALOG_API_DATABASE_URL', async (client) => {
      await client.query(`insert into catalog.merchants (id, name) values (70, 'given')`);
      await client.query(`select setval(pg_get_serial_sequence('catalog.merchants', 'id'), 70)`);
      return (await client.query<{ id: number }>(`insert into catalog.merchants (name) values ('drawn') returning id`)).rows[0]?.id;
    });
    await expect(written).resolves.toBe(71);
  });
  it('lets nobody change the audit log', async () => {
    await asRole('GATEWAY_DATABASE_URL', async (client) => {
      await client.query(`insert into gateway.audit_log (key_id, operation, method, path, status, request_id) values ('k', 'o', 'GET', '/', 200, 'r')`);
      for (const statement of [`update gateway.audit_log set status = 500`, 'delete from gateway.audit_log', 'truncate gateway.audit_log']) await expect(client.query(statement)).rejects.toThrow('append-only');
    });
  });
});

describe('millrace migrate under an owner who is no superuser', () => {
  const query = async (url: string, statement: string): Promise<void> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  const loginOf = (url: string, user: string, password: string): string => Object.assign(new URL(url), { username: user, password }).toString();

  it('makes the roles with CREATEROLE alone, and keeps them when it runs again', async () => {
    const own = await createTestDatabase();
    const owner = uniqueName('owner');
    await query(own.url, `create role ${owner} login createrole password 'o'`);
    await query(own.url, `alter database ${own.name} owner to ${owner}`);
    const file = join(await mkdtemp(join(tmpdir(), 'millrace-roles-')), 'roles.env');
    const migrateAsOwner = () => migrate({ databaseUrl: loginOf(own.url, owner, 'o'), rolesFile: file, given: {}, loadMigrations, print: () => undefined });
    await migrateAsOwner();
    const before = await readFile(file, 'utf8');
    await migrateAsOwner();
    expect(await readFile(file, 'utf8')).toBe(before);
    await own.drop();
  });
  it('gives its rights to a role that an administrator made, without CREATEROLE', async () => {
    const own = await createTestDatabase();
    const owner = uniqueName('owner');
    const given: Record<string, string> = {};
    await query(own.url, `create role ${owner} login password 'o'`);
    await query(own.url, `alter database ${own.name} owner to ${owner}`);
    for (const { variable, schema } of services) {
      const role = uniqueName(schema);
      await query(own.url, `create role ${role} login password 's'`);
      await query(own.url, `grant ${role} to ${owner}`);
      given[variable] = loginOf(own.url, role, 's');
    }
    const migrateAsOwner = (known: Record<string, string>) => migrate({ databaseUrl: loginOf(own.url, owner, 'o'), rolesFile: join(tmpdir(), uniqueName('none')), given: known, loadMigrations, print: () => undefined });
    await expect(migrateAsOwner({})).rejects.toThrow('roles.sql');
    await migrateAsOwner(given);
    await migrateAsOwner(given);
    const client = new Client({ connectionString: given['CATALOG_API_DATABASE_URL'] ?? '' });
    await client.connect();
    await client.query(`insert into catalog.merchants (name) values ('x')`);
    await client.query(`create table catalog.outbox_published_test partition of catalog.outbox_published for values from ('2001-01-01') to ('2001-01-02')`);
    await expect(client.query('select 1 from gateway.api_keys')).rejects.toMatchObject({ code: '42501' });
    await client.end();
    await own.drop();
  });
  it('may be started on two machines at once', async () => {
    const own = await createTestDatabase();
    const start = () => migrate({ databaseUrl: own.url, rolesFile: join(tmpdir(), uniqueName('roles')), given: {}, loadMigrations, print: () => undefined });
    await expect(Promise.all([start(), start()])).resolves.toBeDefined();
    await own.drop();
  });
});

describe('millrace keys', () => {
  it('lists keys without their secrets and revokes them once', async () => {
    const { id, key } = await createKey(database.url, 'shop', ['search:read']);
    const listed = (await listKeys(database.url)).find((one) => one.id === id);
    expect(listed).toMatchObject({ id, name: 'shop', kind: 'secret', scopes: ['search:read'], state: 'active', workspace_id: 'default', origins: null, event_types: null, expires_at: null });
    expect(await showKey(database.url, id)).toEqual(listed);
    expect(JSON.stringify(await listKeys(database.url))).not.toContain(key);
    expect([await revokeKey(database.url, id), await revokeKey(database.url, id)]).toEqual([true, false]);
    expect((await listKeys(database.url)).find((one) => one.id === id)?.state).toBe('revoked');
  });

  it('rotates a key with an overlap or without, under one id, and tells the gateways in the same transaction', async () => {
    const { id, key } = await createKey(database.url, 'shop', ['search:read'], { workspace: 'acme', expires: '90d' });
    const rotated = await rotateKey(database.url, id, 2);
    expect([rotated?.startsWith('mr_'), rotated === key]).toEqual([true, false]);
    const { rotated_at: at, old_secret_until: until, workspace_id: workspace } = (await showKey(database.url, id)) ?? {};
    expect([Date.parse(until ?? '') - Date.parse(at ?? ''), workspace]).toEqual([7_200_000, 'acme']);
    await rotateKey(database.url, id, 0);
    expect((await showKey(database.url, id))?.old_secret_until).toBeNull();
    await revokeKey(database.url, id);
    expect([await rotateKey(database.url, id), await rotateKey(database.url, 'key_unknown')]).toEqual([undefined, undefined]);
    await expect(rotateKey(database.url, id, Number.NaN)).rejects.toThrow('--overlap must be');
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query(`select data from gateway.outbox where stream = 'gateway:keys' and key = '${id}' order by seq`);
    await client.end();
    expect(rows).toEqual([1, 2, 3].map(() => ({ data: `{"key_id" : "${id}"}` })));
  });

  it('keeps of a publishable key where it may be used and for what, and only its hash', async () => {
    const { id, key } = await createPageKey(database.url, 'pages', { origins: ['https://a.example', 'https://a.example'], eventTypes: ['view'] });
    expect((await listKeys(database.url)).find((one) => one.id === id)).toMatchObject({ id, name: 'pages', kind: 'publishable', scopes: ['events:write'], state: 'active', origins: ['https://a.example'], event_types: ['view'] });
    expect(key).toMatch(/^mr_pub_/);
    expect(JSON.stringify(await listKeys(database.url))).not.toContain(key);
  });
});
