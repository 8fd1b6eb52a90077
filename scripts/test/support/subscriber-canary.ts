import { spawn } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createPool } from '../../../libs/database/src/index.ts';
import { eventually, findEverywhere } from '../../../libs/testing/src/index.ts';
import { mainOf } from '../../local/apps.ts';
import { root } from '../../local/paths.ts';
import { findInFiles } from './find-in-files.ts';
import type { Plane } from './plane.ts';

const PHONE = '84908172635';
const SPELLINGS = [PHONE, `0${PHONE.slice(2)}`, `+${PHONE}`, '0908 172 635', '0908.172.635'];
const TOKEN = 'Qx7/canary+Zt9=';
/** Whatever spelling it has, one of them is in it. */
const NEEDLES = [PHONE.slice(2), '908 172 635', '908%20172%20635', '908.172.635', TOKEN, encodeURIComponent(TOKEN), encodeURIComponent(encodeURIComponent(TOKEN))];

/** The command line as a user's shell runs it; both of its outputs. */
async function millrace(plane: Plane, args: readonly string[], input = ''): Promise<{ code: number | null; shown: string }> {
  const child = spawn(process.execPath, [mainOf('cli'), 'ut360', ...args], { cwd: root, env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], MILLRACE_STACK_FILE: plane.stack.env['MILLRACE_STACK_FILE'] } });
  child.stdin.end(input);
  const ended = new Promise<number | null>((done) => void child.once('close', done));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await ended, shown: out + err };
}

async function writeFiles(): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-canary-'));
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(directory, name), content);
    return join(directory, name);
  };
  return [
    '--recommendations', await file('recommendations.csv', `isdn,service_type,bad_debt_risk,cluster_group,priority_score\n${SPELLINGS[1]},DATA_ADVANCE,LOW,1,99\n${TOKEN},DATA_ADVANCE,LOW,1,98\nbystander-1,DATA_ADVANCE,LOW,1,1\n`),
    '--profiles', await file('profiles.csv', `isdn,arpu_avg\n${SPELLINGS[3]},1\n${TOKEN},2\n${TOKEN},3\n${PHONE},no number\nbystander-1,4\n`),
    '--arpu', await file('arpu.csv', `isdn,data_month,arpu_total\n${SPELLINGS[2]},2026-10,1\n${TOKEN},2026-10,2\nbystander-1,2026-10,3\n`),
    '--max-bad', '60%',
  ];
}

/** Asks for both of them in every way that there is, and in some that there are not. */
async function askEverywhere(plane: Plane): Promise<void> {
  const { stack } = plane;
  const call = (method: string, path: string, body?: unknown): Promise<unknown> => plane.call(method, path, body);
  const unmasked = '?unmask=true';
  for (const isdn of [...SPELLINGS, TOKEN]) for (const block of ['subscribers', 'recommendations', 'profiles', 'arpu']) await call('GET', `/api/ut360/${block}/${encodeURIComponent(isdn)}${unmasked}`);
  await call('POST', '/api/ut360/lookup', { isdns: [...SPELLINGS, TOKEN], months: 3, unmask: true });
  for (const list of ['services/DATA_ADVANCE/top', 'risk/LOW', 'clusters/1']) await call('GET', `/api/ut360/${list}${unmasked}`);
  // Refused: a bad path, a bad query, a bad body, a route that there is not, a method that there is not, one ISDN of several that is none.
  await call('GET', `/api/ut360/subscribers/${PHONE}%20x?months=99`);
  await call('GET', `/api/ut360/subscribers/${PHONE}?isdn=${PHONE}`);
  await call('POST', '/api/ut360/lookup', { isdns: PHONE, [PHONE]: TOKEN });
  await fetch(`${stack.gatewayUrl}/api/ut360/lookup`, { method: 'POST', headers: { 'x-api-key': stack.apiKey, 'content-type': 'application/json' }, body: `{"isdns":["${PHONE}",` });
  await call('GET', `/api/ut360/nothing/${PHONE}`);
  await call('DELETE', `/api/ut360/subscribers/${PHONE}`);
  await fetch(`${stack.gatewayUrl}/api/ut360/subscribers/${PHONE}`, { headers: { 'x-api-key': 'mr_none' } });
  await fetch(`${stack.gatewayUrl}/api/ut360/subscribers/${PHONE}/%E0%A4%A`, { headers: { 'x-api-key': stack.apiKey } });
  await call('POST', '/api/ut360/erase', { isdns: [PHONE, 'x'] });
}

/** Nobody's telephone number is where it does not belong, and after an erasure it is nowhere. */
export const describeSubscriberCanary = (planeOf: () => Plane): void => describe('an ISDN', () => {
  it('is in no log, metric, trace, stream, dead letter, cache or table but those of ut360, whatever is asked and fails; and nowhere once it is erased', async () => {
    const { stack } = planeOf();
    const call: Plane['call'] = (...request) => planeOf().call(...request);
    const pool = createPool({ url: stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
    const [bus, cache, serving] = ['REDIS_URL', 'CACHE_REDIS_URL', 'UT360_REDIS_URL'].map((name) => new Redis(stack.env[name] ?? ''));
    const inProcesses = async (): Promise<readonly string[]> => {
      const metrics = await Promise.all(stack.apps.map(async ({ name, internalUrl }) => [`metrics of ${name}`, await (await fetch(`${internalUrl}/metrics`)).text()] as const));
      return [...findInFiles(stack.stateDir, NEEDLES), ...metrics.flatMap(([where, content]) => (NEEDLES.some((needle) => content.includes(needle)) ? [where] : []))];
    };
    const inStores = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const redis of [bus, cache, serving]) for (const needle of NEEDLES) if (redis !== undefined) found.push(...(await findEverywhere(pool, redis, needle)));
      return [...new Set(found)];
    };
    try {
      const loaded = await millrace(planeOf(), ['load', ...(await writeFiles())]);
      expect([loaded.code, NEEDLES.filter((needle) => loaded.shown.includes(needle))]).toEqual([0, []]);
      expect((await call('GET', `/api/ut360/subscribers/${encodeURIComponent(TOKEN)}?unmask=true`)).body).toMatchObject({ isdn: TOKEN });
      await askEverywhere(planeOf());
      await stack.ut360Redis.kill();
      await askEverywhere(planeOf());
      await stack.ut360Redis.restart();
      await eventually(async () => JSON.stringify((await call('GET', `/api/ut360/subscribers/${PHONE}`)).body).includes('"source":"redis"'));
      await stack.app('ut360-lookup').kill();
      await askEverywhere(planeOf());
      await stack.app('ut360-lookup').restart();
      expect(await inProcesses()).toEqual([]);
      expect((await inStores()).filter((where) => !where.startsWith('ut360.') && !where.startsWith('ut360:'))).toEqual([]);

      const erased = await millrace(planeOf(), ['erase', '-', '--json'], `${SPELLINGS[4]}\n${TOKEN}\n`);
      expect(erased).toMatchObject({ code: 0, shown: expect.stringContaining('"state": "done"') });
      for (const isdn of [...SPELLINGS, TOKEN]) expect((await call('GET', `/api/ut360/subscribers/${encodeURIComponent(isdn)}`)).status).toBe(404);
      const reloaded = await millrace(planeOf(), ['load', ...(await writeFiles())]);
      expect(reloaded).toMatchObject({ code: 0, shown: expect.stringContaining('2 left out (erased subscribers)') });
      await askEverywhere(planeOf());
      expect([await inStores(), await inProcesses()]).toEqual([[], []]);
    } finally {
      for (const redis of [bus, cache, serving]) redis?.disconnect();
      await pool.end();
    }
  }, 180_000);
});
