import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { z } from 'zod';
import { createPool } from '../../libs/database/src/index.ts';
import { freePorts } from '../../libs/testing/src/free-ports.ts';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import { mainOf } from '../local/apps.ts';
import { developmentKeyFileOf } from '../local/stack.ts';
import type { Plane } from './support/plane.ts';
import { startPlane } from './support/plane.ts';

// Real processes that are killed and started again: on a busy machine each takes seconds.
jest.setTimeout(180_000);

interface Gateway { readonly url: string; readonly internalUrl: string; readonly child: ChildProcess; readonly log: string[] }
type Hold = 'before' | 'after';
interface Held { readonly key: string; release(): Promise<void> }

let plane: Plane;
let pool: Pool;
let redis: Redis;
let key: string;
let proxy: Server;
/** Of which calls the first one is held: before the service sees it, or when it has answered. */
const holds = new Map<string, Hold>();
const held: Held[] = [];
const seen: string[] = [];
let gateways: Gateway[] = [];

/** Before catalog-api: each call is passed on; one that is held waits for `release`, whatever became of who sent it. */
async function startProxy(to: string): Promise<Server> {
  const pass = async (req: IncomingMessage, body: Buffer): Promise<{ status: number; type: string; text: string; replayed: string | null }> => {
    const headers = Object.fromEntries(Object.entries(req.headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && !['host', 'connection', 'content-length'].includes(entry[0])));
    const answer = await fetch(to + String(req.url), { method: req.method ?? 'GET', headers, ...(body.length > 0 && { body: new Uint8Array(body) }) });
    return { status: answer.status, type: answer.headers.get('content-type') ?? '', text: await answer.text(), replayed: answer.headers.get('idempotent-replayed') };
  };
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of req) parts.push(Buffer.from(part));
    const body = Buffer.concat(parts);
    const name = String(req.headers['idempotency-key']);
    const hold = holds.get(name);
    const isFirst = !seen.includes(name);
    seen.push(name);
    const answered = async (): Promise<void> => {
      const { status, type, text, replayed } = await pass(req, body);
      if (hold === 'after' && isFirst) await new Promise<void>((resolve) => { held.push({ key: name, release: async () => resolve() }); });
      if (!res.destroyed) res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...(replayed !== null && { 'idempotent-replayed': replayed }) }).end(text);
    };
    if (hold === 'before' && isFirst) held.push({ key: name, release: answered });
    else await answered();
  };
  const server = createServer((req, res) => void serve(req, res).catch(() => res.destroy())).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function startGateway(): Promise<Gateway> {
  const [port = 0, internalPort = 0] = await freePorts(2);
  const address = proxy.address();
  const keys = join(plane.stack.stateDir, 'secrets', 'keys');
  const log: string[] = [];
  const child = spawn(process.execPath, [mainOf('gateway')], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'info', PORT: String(port), INTERNAL_PORT: String(internalPort), CACHE_ENABLED: 'false', PLAN_LEASE_MS: '1500', GATEWAY_DATABASE_URL: plane.stack.env['GATEWAY_DATABASE_URL'] ?? '', REDIS_URL: plane.stack.env['REDIS_URL'] ?? '',
      INTERNAL_KEY_FILE: join(keys, 'gateway.jwk'), INTERNAL_JWKS_FILE: join(keys, 'jwks.json'), DEVELOPMENT_KEY_FILE: developmentKeyFileOf(plane.stack.stateDir), CATALOG_API_URL: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    },
  });
  child.stdout.on('data', (part: Buffer) => void log.push(part.toString()));
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200, { timeoutMs: 60_000 });
  return { url, internalUrl: `http://127.0.0.1:${internalPort}`, child, log };
}

beforeAll(async () => {
  plane = await startPlane({}, { apps: ['gateway', 'catalog-api'] });
  pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 2 });
  redis = new Redis(plane.stack.env['REDIS_URL'] ?? '');
  key = readFileSync(developmentKeyFileOf(plane.stack.stateDir), 'utf8').trim();
  proxy = await startProxy(plane.stack.app('catalog-api').url ?? '');
  // Those below take its place: it would run plans, too.
  await plane.stack.app('gateway').kill();
  gateways = await Promise.all([1, 2, 3, 4].map(startGateway));
}, 180_000);
afterAll(async () => {
  for (const { child } of gateways) child.kill('SIGKILL');
  proxy.closeAllConnections();
  proxy.close();
  redis.disconnect();
  await pool.end();
  await plane.stop();
});

const call = async (at: Gateway, method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
  const answer = await fetch(at.url + path, { method, headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: z.record(z.string(), z.unknown()).parse(await answer.json()) };
};
const any = (): Gateway => { const [one] = gateways; if (!one) throw new Error('no gateway is left'); return one; };
const makePlan = async (sku: string, deltas: readonly number[]): Promise<string> => {
  expect((await call(any(), 'POST', '/api/products', { sku, name: 'lamp', category: 'x', stock: 0 })).status).toBe(201);
  const { status, body } = await call(any(), 'POST', '/api/plans', { steps: deltas.map((delta) => ({ operation: 'adjustStock', params: { sku }, body: { delta } })) });
  expect(status).toBe(201);
  return String(body['id']);
};
const stockOf = async (sku: string): Promise<number> => (await pool.query<{ stock: number }>('select stock from catalog.products where sku = $1', [sku])).rows[0]?.stock ?? -1;
const planRow = async (id: string) => z.object({ state: z.string(), holder: z.string().nullable(), question: z.string().nullable() }).parse((await pool.query('select state, holder, question from gateway.plans where id = $1', [id])).rows[0]);
/** How often it took a plan and was through with it, whatever came of it. */
const runsOf = async ({ internalUrl }: Gateway): Promise<number> => {
  const text = await (await fetch(`${internalUrl}/metrics`)).text();
  return [...text.matchAll(/^plan_runs_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
};
const isDone = async (id: string): Promise<true> => { expect(await planRow(id)).toMatchObject({ state: 'done' }); return true; };
const holderOf = async (id: string): Promise<Gateway> => {
  const { holder } = await planRow(id);
  const found = gateways.find(({ child }) => child.pid === Number(holder?.split(':').at(-2)));
  if (!found) throw new Error(`nobody is ${String(holder)}`);
  return found;
};
/** A gateway that died leaves the key of its call taken for a minute: the minute is over. */
const endLocks = async (): Promise<void> => { for (const name of await redis.keys('idempotency:*')) if ((await redis.hexists(name, 'token')) === 1) await redis.pexpire(name, 1); };

describe('a plan over four gateways', () => {
  it('that is clicked fifty times, and whose gateway is killed at each step, before or after its effect, has every step\'s effect once', async () => {
    const sku = uniqueName('plan');
    const deltas = [1, 10, 100, 1_000];
    const id = await makePlan(sku, deltas);
    for (const [place] of deltas.entries()) holds.set(`plan:${id}:${place + 1}`, place % 2 === 0 ? 'after' : 'before');
    const click = async (times: number): Promise<void> => {
      const clicks = await Promise.all(Array.from({ length: times }, (_, n) => call(gateways[n % gateways.length] ?? any(), 'POST', `/api/plans/${id}/run`, {})));
      expect(new Set(clicks.map(({ status }) => status))).toEqual(new Set([202]));
    };
    await click(50);
    for (const [place] of deltas.entries()) {
      await eventually(() => held.some((one) => one.key === `plan:${id}:${place + 1}`), { timeoutMs: 60_000 });
      const holder = await holderOf(id);
      const exited = once(holder.child, 'exit');
      holder.child.kill('SIGKILL');
      await exited;
      gateways = gateways.filter((one) => one !== holder);
      await endLocks();
      await click(20);
      gateways.push(await startGateway());
    }
    await eventually(() => isDone(id), { timeoutMs: 60_000 });
    const { body } = await call(any(), 'GET', `/api/plans/${id}`);
    expect(body).toMatchObject({ state: 'done', steps: deltas.map(() => ({ state: 'done', status: 200 })) });
    expect(await stockOf(sku)).toBe(1_111);
    // Calls of the dead that come now, long after.
    await Promise.all(held.splice(0).map((one) => one.release()));
    expect(await stockOf(sku)).toBe(1_111);
    await click(10);
    expect([await stockOf(sku), (await planRow(id)).state]).toEqual([1_111, 'done']);
  });
  it('whose holder stands still past its lease goes on elsewhere: what the holder records when it wakes is refused, and its late call has no second effect', async () => {
    for (const hold of ['after', 'before'] as const) {
      const sku = uniqueName('plan');
      const id = await makePlan(sku, [5, 70]);
      holds.set(`plan:${id}:1`, hold);
      await call(any(), 'POST', `/api/plans/${id}/run`, {});
      const late = await eventually(() => held.find((one) => one.key === `plan:${id}:1`));
      const stopped = await holderOf(id);
      const runs = await runsOf(stopped);
      stopped.child.kill('SIGSTOP');
      await eventually(async () => { const { holder } = await planRow(id); return holder !== null && !holder.includes(`:${stopped.child.pid}:`); });
      await eventually(async () => { await endLocks(); return isDone(id); }, { timeoutMs: 60_000, everyMs: 200 });
      const before = (await pool.query('select * from gateway.plan_steps where plan_id = $1 order by number', [id])).rows;
      expect(await stockOf(sku)).toBe(75);
      await late.release();
      stopped.child.kill('SIGCONT');
      // Its record is refused, or its own call is over its time: either way it is through with the plan.
      await eventually(async () => (await runsOf(stopped)) > runs);
      expect((await pool.query('select * from gateway.plan_steps where plan_id = $1 order by number', [id])).rows).toEqual(before);
      expect([await stockOf(sku), (await planRow(id)).state]).toEqual([75, 'done']);
    }
  });
});
