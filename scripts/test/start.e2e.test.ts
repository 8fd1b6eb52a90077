import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../libs/testing/src/index.ts';
import { appNames, variablePrefix } from '../local/apps.ts';
import { root } from '../local/paths.ts';
import { freePorts } from '@millrace/testing/free-ports';
import { newStateDir } from '../local/test-run.ts';

const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A place of its own for one installation: state folder and ports. */
async function installation(): Promise<Record<string, string>> {
  const apps = appNames.map((name) => `MILLRACE_${variablePrefix(name)}`);
  const variables = [...apps.map((prefix) => `${prefix}_PORT`), ...apps.map((prefix) => `${prefix}_INTERNAL_PORT`), 'MILLRACE_POSTGRES_PORT', 'MILLRACE_REDIS_PORT', 'MILLRACE_CACHE_REDIS_PORT', 'MILLRACE_SERVING_REDIS_PORT'];
  const ports = await freePorts(variables.length);
  return { ...Object.fromEntries(variables.map((name, at) => [name, String(ports[at])])), MILLRACE_STATE_DIR: newStateDir('start'), EVENT_REDIS_TIMEOUT_MS: '5000', SEARCH_TIMEOUT_MS: '9000', VECTOR_TIMEOUT_MS: '9000' };
}

interface Started { readonly child: ChildProcess; out(): string; exit(): Promise<number | null> }

function npmStart(env: Record<string, string>): Started {
  // From the sources, as a user starts it.
  const { MILLRACE_RUN_DIR: _run, MILLRACE_BUNDLES: _bundles, NODE_ENV: _env, ...shell } = process.env;
  const child = spawn(process.execPath, ['scripts/dev.ts', 'start'], { cwd: root, env: { ...shell, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { out += chunk.toString(); });
  const exited = once(child, 'close').then(([code]: unknown[]) => (running.delete(child), typeof code === 'number' ? code : null));
  return { child, out: () => out, exit: () => exited };
}

const ready = (started: Started): Promise<string> =>
  eventually(() => {
    const out = started.out();
    if (!out.includes('Try it:') || !out.includes('/api/recommendations')) throw new Error(out);
    return out;
  }, { timeoutMs: 90_000, everyMs: 50 });

describe('npm start', () => {
  it('loads the samples, prints six calls that work, keeps the data for the next start, and says who has a taken port', async () => {
    const env = await installation();
    const first = npmStart(env);
    const table = await ready(first);
    expect(table).toContain('2000 sample products loaded, 2000 sample subscribers');
    const calls = table.split('\n').filter((line) => line.trim().startsWith('curl '));
    const answers: unknown[] = [];
    for (const line of calls) answers.push(JSON.parse((await promisify(execFile)('sh', ['-c', line])).stdout));
    expect(answers).toMatchObject([{ data: [{}, {}, {}] }, { data: [{}, {}, {}] }, { data: [{}, {}, {}] }, { name: 'Bamboo desk lamp', version: expect.any(Number) }, { context: 'live' }, { data: [{}, {}, {}], context: 'live' }]);

    const second = npmStart({ ...env, MILLRACE_STATE_DIR: newStateDir('other') });
    expect(await second.exit()).toBe(1);
    expect(second.out()).toMatch(/port \d+ .*MILLRACE_\w+/s);

    first.child.kill('SIGINT');
    expect(await first.exit()).toBe(0);
    expect(first.out()).toContain('stopped in');

    const again = npmStart(env);
    expect(await ready(again)).not.toContain('sample products loaded');
    const { sku } = z.object({ sku: z.string() }).parse(answers[3]);
    const [key] = /mr_[\w-]+/.exec(again.out()) ?? [''];
    const kept = await fetch(`http://127.0.0.1:${env['MILLRACE_GATEWAY_PORT'] ?? ''}/api/products/${sku}`, { headers: { 'x-api-key': key } });
    expect(kept.status).toBe(200);
    // The Redis of subscribers keeps nothing over a stop: it is written again.
    const subscribers = await fetch(`http://127.0.0.1:${env['MILLRACE_GATEWAY_PORT'] ?? ''}/api/ut360/services/DATA_ADVANCE/top?limit=3`, { headers: { 'x-api-key': key } });
    expect(await subscribers.json()).toMatchObject({ data: [{}, {}, {}] });
    again.child.kill('SIGTERM');
    expect(await again.exit()).toBe(0);
  }, 240_000);

  it('refuses to hand out a development key under NODE_ENV=production', async () => {
    const refused = npmStart({ ...(await installation()), NODE_ENV: 'production' });
    expect(await refused.exit()).toBe(1);
    expect(refused.out()).toContain('this is for development');
  });
});
