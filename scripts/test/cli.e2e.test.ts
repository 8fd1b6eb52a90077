import { spawn } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import { root } from '../local/paths.ts';
import type { Plane } from './support/plane.ts';
import { startPlane } from './support/plane.ts';

let plane: Plane;
let directory: string;
beforeAll(async () => {
  plane = await startPlane();
  directory = await mkdtemp(join(tmpdir(), 'millrace-cli-'));
}, 120_000);
afterAll(() => plane.stop(), 30_000);

/** The command line as a user's shell runs it, finding the local stack by itself. */
async function millrace(args: readonly string[], env: Record<string, string> = {}): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, ['apps/cli/src/main.ts', ...args], { cwd: root, env: { PATH: process.env['PATH'], MILLRACE_STACK_FILE: plane.stack.env['MILLRACE_STACK_FILE'], ...env } });
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
    ['a file that is not there', ['import', 'nowhere.csv'], 'is not a file'],
    ['a name that does not tell the format', ['import', 'package.json'], '--format'],
    ['a mapping of an unknown field', ['import', '@', '--map', 'colour=x'], 'is not field=column'],
    ['an unknown currency', ['import', '@', '--currency', 'XQQ'], 'ISO 4217'],
    ['an unknown command', ['fly'], "unknown command 'fly'"],
    ['a missing argument', ['import'], "missing required argument 'file'"],
    ['a count that is none', ['sample', '--count', 'many'], '--count'],
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
    expect((await millrace(['resync'])).code).toBe(0);
    await eventually(async () => (JSON.parse((await millrace(['sync', 'stats'])).out) as { index: string }).index !== before.index);
    await plane.agrees();
  });
});
