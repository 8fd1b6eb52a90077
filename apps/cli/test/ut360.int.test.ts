import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, eventually, startRedisServer } from '@millrace/testing';
import type { RedisServer, TestDatabase } from '@millrace/testing';
import { Client } from 'pg';
import { z } from 'zod';
import { migrate } from '../src/commands/migrate.ts';
import { loadMigrations } from '../src/load-migrations.ts';
import { run } from '../src/run.ts';

const HEADER = 'isdn,service_type,bad_debt_risk,priority_score';
const csv = (count: number, score: number): string => `${[HEADER, ...Array.from({ length: count }, (_none, at) => `8491${String(at).padStart(7, '0')},DATA,LOW,${score}`)].join('\n')}\n`;
const reportSchema = z.looseObject({ state: z.string(), load: z.number(), pointer: z.looseObject({ redis: z.number() }).optional(), error: z.string().nullable() });

let database: TestDatabase;
let redis: RedisServer;
let directory: string;
let env: Record<string, string>;
/** The owner: sees and blocks everything. */
let owner: Client;
beforeAll(async () => {
  [database, redis, directory] = await Promise.all([createTestDatabase(), startRedisServer(), mkdtemp(join(tmpdir(), 'millrace-cli-ut360-'))]);
  const rolesFile = join(directory, 'roles.env');
  await migrate({ databaseUrl: database.url, rolesFile, given: {}, loadMigrations, print: () => undefined });
  const url = (await readFile(rolesFile, 'utf8')).split('\n').find((line) => line.startsWith('UT360_LOOKUP_DATABASE_URL='));
  env = { UT360_LOOKUP_DATABASE_URL: url?.slice(url.indexOf('=') + 1) ?? '', UT360_REDIS_URL: redis.url };
  owner = new Client({ connectionString: database.url });
  await owner.connect();
});
afterAll(async () => {
  await owner.end();
  await redis.stop();
  await database.drop();
  await rm(directory, { recursive: true });
});

interface Run { readonly code: number; readonly out: string; readonly err: string }

/** In this process. */
async function millrace(...args: readonly string[]): Promise<Run> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await run(['node', 'millrace', 'ut360', ...args], env, { print: (line) => void out.push(line), printError: (line) => void err.push(line) });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

async function file(name: string, content: string): Promise<string> {
  await writeFile(join(directory, name), content);
  return join(directory, name);
}

const live = async (): Promise<{ redis: number; score: string }> => {
  const { rows } = await owner.query<{ redis: number; score: string }>('select p.redis, r.priority_score::text as score from ut360.pointer p, ut360.recommendations r limit 1');
  return rows[0] ?? { redis: 0, score: '' };
};
const retireAll = (): Promise<unknown> => owner.query(`update ut360.generation_sets set retired_at = now() - interval '2 minutes' where retired_at is not null`);

describe('millrace ut360 load', () => {
  it('prints what it did, as text and as JSON, and writes the report of a load that was refused, too', async () => {
    const first = await millrace('load', '--recommendations', await file('first.csv', csv(50, 1)), '--json');
    expect([first.code, first.err]).toEqual([0, '']);
    expect(reportSchema.parse(JSON.parse(first.out))).toMatchObject({ state: 'done', error: null, pointer: { redis: 1 }, warnings: [] });
    const dry = await millrace('load', '--recommendations', await file('next.csv', `${csv(48, 1).replace(',LOW,1\n', ',LOW,2\n')}84999999999,DATA,LOW,1\n`), '--dry-run');
    expect(dry.out).toContain('recommendations would change: 1 added, 2 removed, 1 changed, 47 unchanged\ndry run: nothing was changed');
    const report = join(directory, 'report.json');
    const refused = await millrace('load', '--recommendations', await file('bad.csv', `${csv(50, 2)}x,DATA,LOW,1\n`), '--report', report, '--json');
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('1 of 51 rows of bad.csv (recommendations) are bad, 1 % may be (--max-bad); line 52, isdn: is neither')]);
    expect(reportSchema.parse(JSON.parse(await readFile(report, 'utf8')))).toMatchObject({ state: 'refused', bad_rows: { recommendations: 1 }, error: refused.err });
    expect(JSON.parse(refused.out)).toEqual(JSON.parse(await readFile(report, 'utf8')));
    expect(await live()).toEqual({ redis: 1, score: '1' });
  });

  it.each([
    [['load'], 'name at least one file'],
    [['load', '--recommendations', '{dir}'], 'is not a file that can be read'],
    [['load', '--recommendations', '{dir}/first.csv', '--mapping', '{dir}/none.json'], 'none.json is not a file that can be read'],
    [['load', '--recommendations', '{dir}/first.csv', '--mapping', '{dir}/first.csv'], 'the mapping file is not JSON'],
    [['load', '--recommendations', '{dir}/first.csv', '--mapping', '{dir}/mapping.json'], 'names a column serviceType that recommendations does not have: it has isdn,'],
    [['load', '--recommendations', '{dir}/first.csv', '--max-bad', '1,5%'], '--max-bad must be a share or a number of rows'],
    [['load', '--recommendations', '{dir}/first.csv', '--encoding', 'klingon'], 'the encoding klingon is not known'],
    [['load', '--recommendations', '{dir}/first.csv', '--delimiter', ''], 'the delimiter must be one character'],
    [['load', '--recommendations', '{dir}/first.csv', '--report', '{dir}'], '(--report) cannot be written'],
    [['generate', '--subscribers', '0'], '--subscribers must be a whole number'],
  ])('says in a sentence what is wrong with %j, and exits 2', async (args, sentence) => {
    await file('mapping.json', '{"recommendations": {"serviceType": "x"}}');
    const { code, err } = await millrace(...args.map((one) => one.replace('{dir}', directory)));
    expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
    expect(err).not.toContain('    at ');
    expect((await live()).redis).toBe(1);
  });

  it('says in a sentence that a store is away, and exits 1', async () => {
    const { UT360_LOOKUP_DATABASE_URL: there = '' } = env;
    env = { ...env, UT360_LOOKUP_DATABASE_URL: there.replace(/:\d+\//, ':1/') };
    const { code, err } = await millrace('generations');
    env = { ...env, UT360_LOOKUP_DATABASE_URL: there };
    expect([code, err]).toEqual([1, expect.stringContaining('a store cannot be reached')]);
    expect(err).not.toContain('    at ');
  });
});

describe('Ctrl-C', () => {
  /** A load in a process of its own that stops at a lock on `table`, is interrupted there, and goes on then. */
  async function interrupted(table: string, path: string): Promise<Run> {
    await owner.query(`begin; lock table ${table} in access share mode`);
    if (!/\d$/.test(table)) await owner.query(`lock table ${table} in share mode`);
    const child = spawn(process.execPath, ['apps/cli/src/main.ts', 'ut360', 'load', '--recommendations', path], { cwd: join(import.meta.dirname, '../../..'), env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env } });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString(); });
    child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString(); });
    const ended = new Promise<number | null>((done) => void child.once('close', done));
    // Of this database: tests beside this one wait for locks, too.
    await eventually(async () => ((await owner.query('select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())')).rowCount ?? 0) > 0);
    child.kill('SIGINT');
    await eventually(() => err.includes('stopping'));
    await owner.query('rollback');
    return { code: (await ended) ?? -1, out, err };
  }

  it('while a file is read, or Redis is written, leaves what is served, exits 130, and the next load takes over', async () => {
    const path = await file('second.csv', csv(50, 2));
    for (const table of ['ut360.dataset_generations', 'ut360.generation_sets']) {
      const { code, err } = await interrupted(table, path);
      expect([code, err]).toEqual([130, expect.stringContaining('stopped: what is served was not changed')]);
      // Plain lines where there is no terminal; the second one finds the table there.
      if (table === 'ut360.dataset_generations') expect(err).toMatch(/^reading: recommendations: 100 %, 50 rows, \d+ rows\/s\nkeys and indexes: recommendations: 100 %\n/);
      expect(await live()).toEqual({ redis: 1, score: '1' });
    }
    const next = await millrace('load', '--recommendations', path);
    expect(next.out).toContain('taken over from a load that was stopped');
    expect((await live()).score).toBe('2');
    expect((await millrace('verify')).out).toContain('Redis is what Postgres says');
  });

  it('while old generations are removed is too late: the new one is live, and it exits 0', async () => {
    await retireAll();
    await millrace('load', '--recommendations', await file('third.csv', csv(50, 3)));
    await retireAll();
    const { rows: [spare] } = await owner.query<{ name: string }>(`select 'ut360.recommendations_' || b.recommendations as name from ut360.pointer p join ut360.generation_sets a using (redis) join ut360.generation_sets b on b.redis = a.previous`);
    const { code, err } = await interrupted(spare?.name ?? '', await file('fourth.csv', csv(50, 4)));
    expect([code, err]).toEqual([0, expect.stringContaining('stopping')]);
    expect((await live()).score).toBe('4');
    expect((await millrace('rollback')).out).toMatch(/^live: generation \d+/);
    expect((await live()).score).toBe('3');
    expect((await millrace('generations')).out).toMatch(/generation +state/);
  });
});
