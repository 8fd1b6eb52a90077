import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineTopic } from '@millrace/bus';
import { createTestTopic, describeSurvival, numbered, numbersOf, publishAll, upTo } from '@millrace/bus/testing';
import { describeWith, eventually, startPostgresServer, testServer, uniqueName } from '@millrace/testing';
import { freePorts } from '@millrace/testing/free-ports';
import { Client, Pool } from 'pg';
import { Registry } from 'prom-client';
import { z } from 'zod';
import { createPostgresBus } from '../src/index.ts';
import { testTopics } from './postgres-kit.ts';

const open = (url: string) => createPostgresBus({ url, claimIdleMs: 1_000, leaseMs: 1_000, retryBaseMs: 5 });

describeSurvival('postgres', startPostgresServer, open);

describe('a Postgres that is not ready for the bus', () => {
  it.each([
    ['a wrong password', (url: URL) => { url.password = 'wrong'; }, /refuses the password of BUS_URL/],
    ['a database that is not there', (url: URL) => { url.pathname = '/nowhere'; }, /has no database of the name in BUS_URL/],
    ['a schema with a strange name', (url: URL) => { url.searchParams.set('schema', 'My Schema'); }, /a plain lower-case name/],
  ])('says so: %s', async (_what, spoil, message) => {
    const url = new URL(testServer('postgres'));
    spoil(url);
    const use = async (): Promise<void> => {
      const bus = open(url.href);
      await bus.publish(createTestTopic(), numbered(1)).finally(() => void bus.close());
    };
    await expect(use()).rejects.toThrow(message);
  });

  it('says which right is missing, and refuses to subscribe', async () => {
    const { url, drop } = await createPoorRole();
    const bus = open(url.href);
    await expect(bus.subscribe(createTestTopic(), { group: 'g' }, async () => undefined)).rejects.toThrow(/denies the role of BUS_URL what the bus needs: grant it CREATE on the database/);
    await bus.close();
    await drop();
  });

  it('is ready with an empty schema that the role owns, without CREATE on the database', async () => {
    const { owner, role, url, drop } = await createPoorRole();
    await owner.query(`create schema ${role} authorization ${role}`);
    url.searchParams.set('schema', role);
    const bus = open(url.href);
    const topic = createTestTopic();
    await publishAll(bus, topic, 3);
    expect(await bus.lag(topic, 'g')).toMatchObject({ messages: 3 });
    await bus.close();
    await drop();
  });
});

/** A role that may log in, and no more. */
async function createPoorRole(): Promise<{ readonly owner: Client; readonly role: string; readonly url: URL; readonly drop: () => Promise<void> }> {
  const owner = new Client({ connectionString: testServer('postgres') });
  await owner.connect();
  const role = uniqueName('poor').replaceAll(/[^a-z0-9]/g, '_');
  await owner.query(`create role ${role} login password 'pw'`);
  const url = new URL(testServer('postgres'));
  Object.assign(url, { username: role, password: 'pw' });
  return {
    owner, role, url,
    async drop() {
      await owner.query(`drop owned by ${role} cascade; drop role ${role}`);
      await owner.end();
    },
  };
}

describe('a schema of an older version', () => {
  const { open: openHere, schema } = testTopics();
  const { open: openOther, schema: otherSchema } = testTopics();

  it('is brought to this one by the next program, with what is in it', async () => {
    const topic = createTestTopic();
    const before = openHere();
    await publishAll(before, topic, 3);
    await before.close();
    const client = new Client({ connectionString: testServer('postgres') });
    await client.connect();
    await client.query(`update ${schema}.meta set functions = 1; drop function ${schema}.trim_events`);
    const logged: object[] = [];
    const after = openHere({ logger: { info: (fields: object) => void logged.push(fields), warn: () => undefined, error: () => undefined } });
    const seen: number[] = [];
    await after.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(async () => seen.length === 3 && (await after.lag(topic, 'g')).messages === 0);
    expect(await after.trimAcknowledged(topic, { keep: 0 })).toBe(3);
    expect(logged).toContainEqual(expect.objectContaining({ schema, from: 1 }));
    await after.close();
    await client.end();
  });

  it('refuses a program that is older than itself', async () => {
    const client = new Client({ connectionString: testServer('postgres') });
    await client.connect();
    const bus = openOther();
    await bus.ping();
    await bus.close();
    await client.query(`update ${otherSchema}.meta set version = 1000`);
    const older = openOther();
    await expect(older.publish(createTestTopic(), numbered(1))).rejects.toThrow(/has version 1000 and this program knows \d+: run the newest release/);
    await older.close();
    await client.end();
  });
});

describe('a topic that cannot be cut to its length', () => {
  const { open: openHere, schema } = testTopics();

  it('takes events all the same, says so in log and metric, and is cut behind its next append', async () => {
    const warnings: object[] = [];
    const metrics = new Registry();
    const bus = openHere({ metrics, logger: { info: () => undefined, warn: (fields: object) => void warnings.push(fields), error: () => undefined } });
    const topic = defineTopic(uniqueName('capped'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, maxLength: 50, keyOf: () => 'k' });
    const ticks = (count: number) => Array.from({ length: count }, (_, n) => ({ type: 'tick' as const, n }));
    await bus.publish(topic, ticks(1));
    const client = new Client({ connectionString: testServer('postgres') });
    await client.connect();
    await client.query(`create function ${schema}.refuse() returns trigger language plpgsql as $$ begin raise exception 'no deletes today'; end $$;
      create trigger refuse before delete on ${schema}.events for each row execute function ${schema}.refuse()`);
    await bus.publish(topic, ticks(150));
    const length = async (): Promise<number | undefined> => (await bus.admin([topic]).topics())[0]?.streams[0]?.length;
    expect(await length()).toBe(151);
    expect(warnings).toEqual([expect.objectContaining({ topic: topic.name, error: expect.stringContaining('no deletes today') })]);
    expect(await metrics.getSingleMetricAsString('bus_postgres_cap_failures_total')).toContain(`{topic="${topic.name}"} 1`);
    await client.query(`drop trigger refuse on ${schema}.events`);
    await bus.publish(topic, ticks(1));
    expect(await length()).toBe(50);
    await client.end();
    await bus.close();
  });
});

describe('entries of slow transactions', () => {
  const { open: openHere, url, schema } = testTopics();

  it('are never passed over: numbers become visible in their order', async () => {
    const bus = openHere();
    const topic = createTestTopic();
    await publishAll(bus, topic, 1);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 1);
    const address = new URL(url);
    address.searchParams.delete('schema');
    const slow = new Client({ connectionString: address.href });
    await slow.connect();
    await slow.query('begin');
    // What another publisher does, held open before its commit.
    const fields = JSON.stringify(['event_type', 'created', 'key', 'k', 'data', '{"key":"k","n":100}']);
    await slow.query(`select ${schema}.append($1, '{k}', array[$2], '{i}', 0)`, [topic.name, fields]);
    const behind = publishAll(bus, topic, 3, 1);
    await slow.query('commit');
    await behind;
    await eventually(() => seen.length === 5);
    expect(seen).toEqual([0, 100, 1, 2, 3]);
    await slow.end();
    await bus.close();
  });

  it('of which none comes hold nothing up: a rolled back one leaves no gap', async () => {
    const bus = openHere();
    const topic = createTestTopic();
    const address = new URL(url);
    address.searchParams.delete('schema');
    const pool = new Pool({ connectionString: address.href, max: 1 });
    await publishAll(bus, topic, 1);
    const gaps: string[] = [];
    const seen: number[] = [];
    await bus.subscribe(topic, { mode: 'broadcast', onGap: async () => void gaps.push('gap') }, async (events) => void seen.push(...numbersOf(events)));
    await pool.query(`begin; select ${schema}.append('${topic.name}', '{k}', '{[]}', '{i}', 0); rollback`);
    await publishAll(bus, topic, 2, 1);
    await eventually(() => seen.length === 2);
    expect([seen, gaps]).toEqual([[1, 2], ['gap']]);
    await pool.end();
    await bus.close();
  });
});

describeWith('pgbouncer', 'behind a pooler in transaction mode', () => {
  let stop: () => Promise<void>;
  let pooled: string;
  beforeAll(async () => {
    const target = new URL(testServer('postgres'));
    const [[port = 0], directory] = await Promise.all([freePorts(1), mkdtemp(join(tmpdir(), 'millrace-pgbouncer-'))]);
    const config = join(directory, 'pgbouncer.ini');
    await writeFile(join(directory, 'users.txt'), `"${target.username}" "${target.password}"\n`, { mode: 0o644 });
    await writeFile(config, [
      '[databases]', `* = host=${target.hostname} port=${target.port}`, '[pgbouncer]', 'listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = scram-sha-256', `auth_file = ${join(directory, 'users.txt')}`,
      'pool_mode = transaction', 'default_pool_size = 3', 'max_client_conn = 100',
    ].join('\n'), { mode: 0o644 });
    const isRoot = userInfo().uid === 0;
    // It does not run as root.
    if (isRoot) await chmod(directory, 0o755);
    const child = spawn(testServer('pgbouncer'), [config], { stdio: 'ignore', cwd: '/', ...(isRoot && { uid: 65_534, gid: 65_534 }) });
    stop = async () => {
      child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    };
    const url = new URL(target);
    url.host = `127.0.0.1:${port}`;
    url.searchParams.set('schema', uniqueName('pooled').replaceAll(/[^a-z0-9]/g, '_'));
    pooled = url.href;
    const plain = new URL(pooled);
    plain.searchParams.delete('schema');
    await eventually(async () => {
      const client = new Client({ connectionString: plain.href });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query('select 1')).rowCount === 1;
      } finally {
        await client.end().catch(() => undefined);
      }
    });
  });
  afterAll(() => stop());

  it('delivers all the same, and says in log and metric that it has to look for new entries', async () => {
    const warnings: string[] = [];
    const metrics = new Registry();
    const logger = { info: () => undefined, warn: (_fields: object, message: string) => void warnings.push(message), error: () => undefined };
    const bus = createPostgresBus({ url: pooled, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, pollMs: 30, logger, metrics });
    const other = createPostgresBus({ url: pooled });
    const topic = createTestTopic();
    const seen: number[] = [];
    for (const ordering of ['none', 'key'] as const) await bus.subscribe(topic, { group: ordering, ordering }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => warnings.some((text) => text.startsWith('LISTEN does not come through to Postgres')));
    await publishAll(other, topic, 50);
    await eventually(() => seen.length === 100);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(50).flatMap((n) => [n, n]));
    expect(await metrics.getSingleMetricAsString('bus_postgres_listening')).toContain('bus_postgres_listening 0');
    await Promise.all([bus.close(), other.close()]);
  });
});
