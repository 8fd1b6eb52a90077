import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createPool } from '../../libs/database/src/index.ts';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import { mainOf } from '../local/apps.ts';
import { root } from '../local/paths.ts';
import type { Plane } from './support/plane.ts';
import { startPlane } from './support/plane.ts';
import { describeServiceDoors } from './support/service-doors.ts';
import { describeSubscriberCanary } from './support/subscriber-canary.ts';

let plane: Plane;
let directory: string;
beforeAll(async () => {
  plane = await startPlane({ LOG_LEVEL: 'debug' });
  directory = await mkdtemp(join(tmpdir(), 'millrace-cli-'));
});
afterAll(() => plane.stop());

/** The command line as a user's shell runs it, finding the local stack by itself. */
async function millrace(args: readonly string[], env: Record<string, string> = {}): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [mainOf('cli'), ...args], { cwd: root, env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], MILLRACE_STACK_FILE: plane.stack.env['MILLRACE_STACK_FILE'], ...env } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString(); });
  const code = await new Promise<number | null>((done) => void child.once('close', done));
  return { code, out, err };
}
async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(directory, `${uniqueName()}-${name}`);
  await writeFile(path, content);
  return path;
}

describe('millrace import', () => {
  it('imports a packed file with a mapping and exits 0', async () => {
    const sku = uniqueName('cli');
    const path = await file('products.ndjson.gz', gzipSync(`{"sku":"${sku}","name":"Quạt máy","price_cents":1999}\n`));
    expect(await millrace(['import', path, '--map', 'price=price_cents:0.01'])).toMatchObject({ code: 0, out: expect.stringContaining('1 rows: 1 created') });
    expect((await plane.call('GET', `/api/products/${sku}`)).body['price']).toBe(19.99);
  });
  it('prints each bad row with its line, imports the others and exits 1', async () => {
    const path = await file('products.csv', `sku,name,price\n${uniqueName('cli')},x,1\n${uniqueName('cli')},y,-1\n`);
    expect(await millrace(['import', path])).toMatchObject({ code: 1, out: expect.stringContaining('1 created, 0 updated, 0 unchanged, 1 failed'), err: expect.stringContaining('line 3') });
  });
  it('writes nothing in a dry run', async () => {
    const sku = uniqueName('cli');
    expect(await millrace(['import', await file('p.ndjson', `{"sku":"${sku}","name":"x"}\n`), '--dry-run'])).toMatchObject({ code: 0, out: expect.stringContaining('dry run: 1 rows: 1 created') });
    expect((await plane.call('GET', `/api/products/${sku}`)).status).toBe(404);
  });
  it.each([
    ['a mapping of an unknown field', ['import', '@', '--map', 'colour=x'], 'is not field=column'],
    ['an unknown currency', ['import', '@', '--currency', 'XQQ'], 'ISO 4217'],
    ['a time that is none', ['dlq', 'list', '--since', 'yesterday'], 'ISO 8601'],
  ])('exits 2 with a sentence for %s', async (_what, args, sentence) => {
    const path = await file('p.ndjson', '{}\n');
    const { code, err } = await millrace(args.map((arg) => (arg === '@' ? path : arg)));
    expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
  });
  it('exits 2 where no stack and no key are known, 1 where the gateway is down', async () => {
    const path = await file('p.ndjson', '{}\n');
    expect(await millrace(['import', path], { MILLRACE_STACK_FILE: '/nowhere' })).toMatchObject({ code: 2, err: expect.stringContaining('MILLRACE_API_KEY') });
    expect(await millrace(['import', path], { MILLRACE_URL: 'http://127.0.0.1:1' })).toMatchObject({ code: 1, err: expect.stringContaining('cannot be reached') });
  });
});

describe('millrace ut360', () => {
  const tokens = ['aGVs/bG8+d29ybGQ=', '%2F%2e%2e%25', '../../etc/passwd', '........', 'số-điện-thoại', '🙂🙂🙂🙂🙂🙂🙂🙂', 'x'.repeat(128), 'exactly8', '?a=b&c#d;e', '01623456789', '+84 912-345-678'];

  it('loads tokens of any signs, which are found byte for byte by path and by body through the gateway, and stand in no log and no metric', async () => {
    const path = await file('recommendations.csv', `isdn,service_type,bad_debt_risk,priority_score\n${tokens.map((token, at) => `${token},ODD,LOW,${at}`).join('\n')}\n`);
    expect(await millrace(['ut360', 'load', '--recommendations', path, '--max-bad', '0'])).toMatchObject({ code: 0, out: expect.stringContaining(`recommendations: ${tokens.length} rows`) });
    const priority = async (isdn: string): Promise<unknown> => (await plane.call('GET', `/api/ut360/recommendations/${encodeURIComponent(isdn)}`)).body['recommendation'];
    await eventually(async () => (await priority(tokens[0] ?? '')) !== undefined);
    for (const [at, token] of tokens.entries()) expect(await priority(token)).toMatchObject({ priority_score: at });
    for (const [spelling, at] of [['0323456789', 9], ['+84 162 345 6789', 9], ['84912345678', 10], ['00840912345678', undefined]] as const) expect(await priority(spelling)).toEqual(at === undefined ? undefined : expect.objectContaining({ priority_score: at }));
    expect((await plane.call('POST', '/api/ut360/lookup', { isdns: tokens })).body).toMatchObject({ data: tokens.map((_token, index) => ({ index, recommendation: { priority_score: index } })), missing: [], invalid: [] });
    const { logs, ports } = JSON.parse(await readFile(plane.stack.env['MILLRACE_STACK_FILE'] ?? '', 'utf8')) as { logs: string; ports: { apps: Record<string, { internal: number }> } };
    const metrics = await Promise.all(['gateway', 'ut360-lookup'].map(async (app) => await (await fetch(`http://127.0.0.1:${ports.apps[app]?.internal ?? 0}/metrics`)).text()));
    const texts = [...metrics, ...(await Promise.all((await readdir(logs)).map((name) => readFile(join(logs, name), 'utf8'))))];
    expect(texts.join('')).toMatch(/ut360_subscribers_read_total\{.*\} [1-9]/);
    const canaries = [...tokens.slice(0, 3), ...tokens.slice(4, 7), '84323456789', '84912345678'].flatMap((token) => [token, encodeURIComponent(token)]);
    expect(canaries.filter((canary) => texts.some((text) => text.includes(canary)))).toEqual([]);
  });
});

describe('millrace sync and resync', () => {
  it('shows what is synced, clears it, and the index stays whole', async () => {
    await plane.call('POST', '/api/products', { sku: uniqueName('cli'), name: 'x' });
    await plane.agrees();
    const stats = await millrace(['sync', 'stats']);
    expect([stats.code, JSON.parse(stats.out)]).toMatchObject([0, { redis_healthy: true, index: expect.any(String) }]);
    expect(await millrace(['sync', 'clear'])).toMatchObject({ code: 0, out: expect.stringMatching(/^cleared \d+ entries/) });
    await plane.agrees();
  });
  it('builds a new index beside the live one and swaps while it is searched', async () => {
    const before = JSON.parse((await millrace(['sync', 'stats'])).out) as { index: string };
    expect(await millrace(['resync'])).toMatchObject({ code: 0 });
    await eventually(async () => (JSON.parse((await millrace(['sync', 'stats'])).out) as { index: string }).index !== before.index);
    await plane.agrees();
  });
});

describe('millrace replay and quarantine', () => {
  it('replays a file, finds what was refused of it, repairs and logs that once, and writes who did it into the audit log', async () => {
    const user = uniqueName('user');
    const event = { user_id: user, asin: 'no-such-product', event_type: 'view' };
    const path = await file('events.ndjson.gz', gzipSync([event, { ...event, event_type: 'hover' }, event].map((one) => JSON.stringify(one)).join('\n')));
    expect(await millrace(['replay', path])).toMatchObject({ code: 1, out: expect.stringContaining('3 rows: 3 sent, 2 accepted (2 live), 1 failed'), err: expect.stringContaining('line 2: /event_type must be view') });
    const found = async (): Promise<{ id: string }[]> => JSON.parse((await millrace(['quarantine', 'list', '--json', '--user', user])).out) as { id: string }[];
    const id = await eventually(async () => (await found())[0]?.id);
    expect(await millrace(['quarantine', 'replay', id])).toMatchObject({ code: 1, err: expect.stringContaining('1 event still invalid') });
    expect(await millrace(['quarantine', 'repair', id, '--item', JSON.stringify({ ...event, rating: 9 })])).toMatchObject({ code: 2, err: expect.stringContaining('at most 5') });
    expect(await millrace(['quarantine', 'repair', id, '--item', JSON.stringify({ ...event, event_type: 'purchase' })])).toMatchObject({ code: 0 });
    expect(await millrace(['quarantine', 'replay', id])).toMatchObject({ code: 0, out: 'replayed 1 event\n' });
    expect(await found()).toEqual([]);
    const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
    try {
      const typesOf = async () => (await pool.query<{ event_type: string }>('select event_type from events.interaction_logs where user_id = $1 order by event_type', [user])).rows.map((row) => row.event_type);
      await eventually(async () => (await typesOf()).join() === 'view,view,purchase');
      await eventually(async () => (await pool.query(`select 1 from gateway.audit_log where operation = 'replayQuarantine' and path like '%quarantine%'`)).rowCount === 2);
    } finally {
      await pool.end();
    }
  });
});

/** Parks an event that is no product, of a product that is there: mended, it changes nothing. */
async function park(): Promise<{ sku: string; product: Record<string, unknown> }> {
  const sku = uniqueName('dead');
  const product = (await plane.call('POST', '/api/products', { sku, name: 'x' })).body;
  const redis = new Redis(plane.stack.env['REDIS_URL'] ?? '');
  await redis.xadd('product:updates', '*', 'event_type', 'update', 'product_id', sku, 'timestamp', '2026-11-02T08:00:00.000Z', 'data', '{"price":"free"}', 'id', uniqueName('event'), 'version', String(product['version']), 'schema', '1');
  await redis.quit();
  return { sku, product };
}
const idsOf = async (sku: string): Promise<string[]> => (JSON.parse((await millrace(['dlq', 'list', '--json', '--key', sku])).out) as { id: string }[]).map(({ id }) => id);

describe('millrace streams and dlq', () => {
  it('finds what was parked, mends it, replays it, and discards the rest', async () => {
    const { sku, product } = await park();
    const ids = await eventually(async () => {
      const found = await idsOf(sku);
      return found.length === 3 && found;
    });
    const table = await millrace(['streams']);
    expect(table.out).toMatch(/^product:updates +0 +\d+ +es-sync-worker +\d+ +\d+ +\d+ +[1-9]/m);
    const data = await file('data.json', '');
    expect(await millrace(['dlq', 'show', ids[0] ?? '', '--out', data])).toMatchObject({ code: 0 });
    expect(await millrace(['dlq', 'edit', ids[0] ?? '', '--data', `@${data}`])).toMatchObject({ code: 2, err: expect.stringContaining('would park it again') });
    const edited = await millrace(['dlq', 'edit', ids[0] ?? '', '--data', JSON.stringify(product)]);
    const newId = /it is (\S+) now/.exec(edited.out)?.[1] ?? '';
    expect(await millrace(['dlq', 'replay', newId])).toMatchObject({ code: 0, out: 'replayed 1 dead letter\n' });
    expect(await millrace(['dlq', 'replay', newId])).toMatchObject({ code: 1, err: expect.stringContaining('not there') });
    expect(await millrace(['dlq', 'discard', '--key', sku])).toMatchObject({ code: 2, err: expect.stringContaining('2 dead letters for good: add --yes') });
    expect(await millrace(['dlq', 'discard', '--key', sku, '--yes'])).toMatchObject({ code: 0 });
    expect(await idsOf(sku)).toEqual([]);
    await plane.agrees();
  });
  it('exits 1 for a group in use and for one that is not there', async () => {
    expect(await millrace(['streams', 'groups', 'drop', 'es-sync-worker', '--dry-run'])).toMatchObject({ code: 1, err: expect.stringContaining('in use') });
    expect(await millrace(['streams', 'groups', 'drop', 'nobody'])).toMatchObject({ code: 1, err: expect.stringContaining('not_found') });
  });
  it('exits 1 with the reason while Redis is away, and the gateway stays ready', async () => {
    await plane.stack.redis.kill();
    expect(await millrace(['streams'])).toMatchObject({ code: 1, err: expect.stringContaining('(unavailable)') });
    expect((await plane.call('GET', '/readyz')).body).toEqual({ ready: true });
    await plane.stack.redis.restart();
    await eventually(async () => (await millrace(['streams'])).code === 0);
    await plane.agrees(60_000);
  });
});

describeServiceDoors(() => plane);
describeSubscriberCanary(() => plane);
