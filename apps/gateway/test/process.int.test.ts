import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createApiKey, createServiceKeys, hashApiKey } from '@millrace/service';
import { createTestDatabase, eventually, startRedisServer, startTunnel, uniqueName } from '@millrace/testing';
import type { RedisServer, TestDatabase, Tunnel } from '@millrace/testing';
import { freePorts } from '@millrace/testing/free-ports';
import { sql } from 'kysely';
import type { GatewayDb, GatewaySchema } from '../src/database.ts';
import { insertKey } from '../src/keys/managed-key.repository.ts';
import { migrations } from '../src/migrations/index.ts';

interface Gateway { readonly url: string; readonly child: ChildProcess }
interface Arrived { readonly res: ServerResponse; readonly key: string | undefined }

const steps: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void steps.push(step);
let database: TestDatabase;
let db: GatewayDb;
let own: RedisServer;
let redis: Redis;
let tunnel: Tunnel;
let catalog: Server;
let directory: string;
/** Requests that reached the service: each is one effect. */
const arrived: Arrived[] = [];
let one: Gateway;
let two: Gateway;
/** Without Redis, and behind the tunnel to Postgres. */
let alone: Gateway;

const makeKey = async (): Promise<{ readonly id: string; readonly key: string }> => {
  const key = createApiKey();
  return { key, id: await insertKey(db, { name: 'test', hash: hashApiKey(key), scopes: ['admin', 'products:write', 'sessions'], workspaceId: 'default', createdBy: 'test', expiresAt: undefined }) };
};
const send = (gateway: Gateway, key: string, { method = 'GET', path = '/api/admin/keys', headers = {}, body }: { method?: string; path?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Response> =>
  fetch(gateway.url + path, { method, signal: AbortSignal.timeout(20_000), headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers }, ...(body !== undefined && { body }) });
const adjust = (gateway: Gateway, key: string, idempotencyKey: string, delta = -1): Promise<Response> =>
  send(gateway, key, { method: 'POST', path: '/api/products/MR-1/stock/adjust', headers: { 'idempotency-key': idempotencyKey }, body: JSON.stringify({ delta }) });
const answerTo = ({ res }: Arrived, headers: Record<string, string> = {}): void => void res.writeHead(200, { 'content-type': 'application/json', 'content-length': '14', ...headers }).end('{"stock":41.00}'.slice(0, 14));

/** The gateway as it is deployed: a process of its own. */
async function startGateway(env: Record<string, string>): Promise<Gateway> {
  const [port = 0] = await freePorts(1);
  const address = catalog.address();
  const child = spawn(process.execPath, [fileURLToPath(new URL('../src/main.ts', import.meta.url))], {
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'error', PORT: String(port), CACHE_ENABLED: 'false', INTERNAL_KEY_FILE: join(directory, 'gateway.jwk'), INTERNAL_JWKS_FILE: join(directory, 'jwks.json'),
      CATALOG_API_URL: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, ...env,
    },
  });
  onClose(() => child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200, { timeoutMs: 60_000 });
  return { url, child };
}

beforeAll(async () => {
  [database, own, directory] = await Promise.all([createTestDatabase(), startRedisServer(), mkdtemp(join(tmpdir(), 'gateway-process-'))]);
  onClose(() => Promise.all([database.drop(), own.stop(), rm(directory, { recursive: true })]));
  const pool = createPool({ url: database.url, name: 'gateway test', max: 2 });
  onClose(() => pool.end());
  await migrateSchema(createKysely(pool), migrations);
  db = createKysely<GatewaySchema>(pool);
  redis = connectRedis(own.url, { role: 'background', name: 'gateway test' });
  onClose(() => closeRedis(redis));
  tunnel = await startTunnel(database.url);
  onClose(() => tunnel.close());
  const { privateKeys, jwks } = await createServiceKeys(['gateway']);
  await Promise.all([writeFile(join(directory, 'gateway.jwk'), JSON.stringify(privateKeys['gateway'])), writeFile(join(directory, 'jwks.json'), JSON.stringify(jwks))]);
  catalog = createServer((req: IncomingMessage, res) => void req.resume().once('end', () => arrived.push({ res, key: req.headersDistinct['idempotency-key']?.[0] }))).listen(0, '127.0.0.1');
  onClose(() => { catalog.closeAllConnections(); catalog.close(); });
  await Promise.all([once(catalog, 'listening'), whenReady(redis)]);
  const shared = { GATEWAY_DATABASE_URL: database.url, REDIS_URL: own.url };
  [one, two] = await Promise.all([startGateway(shared), startGateway(shared)]);
});
afterAll(async () => {
  for (const step of steps.toReversed()) await step();
});

describe('a gateway that is killed between the effect and the kept answer', () => {
  it('leaves the key taken for a minute at most: no second effect until then, and the service is asked under the same key after it', async () => {
    const { key } = await makeKey();
    const name = uniqueName('key');
    // Ready says nothing of Redis: each has used it, and Postgres, before the one call that counts.
    for (const gateway of [one, two]) await eventually(async () => { expect((await send(gateway, key, { method: 'POST', path: '/api/sessions', headers: { 'x-user-id': name }, body: '{}' })).status).toBe(201); return true; });
    let early: number | undefined;
    const broken = adjust(one, key, name).then(({ status }) => { early = status; return 'answered'; }, () => 'broken');
    await eventually(() => { expect(early).toBeUndefined(); return arrived.length === 1; });
    const exited = once(one.child, 'exit');
    one.child.kill('SIGKILL');
    await exited;
    expect(await broken).toBe('broken');
    const again = await adjust(two, key, name);
    expect([again.status, again.headers.get('retry-after'), await again.json()]).toEqual([409, '1', expect.objectContaining({ code: 'conflict', detail: expect.stringMatching(/broke off and is forgotten in \d+ s/) })]);
    expect([(await adjust(two, key, name, -2)).status, arrived.length]).toEqual([422, 1]);
    const [entry = ''] = await redis.keys('idempotency:*');
    const leftMs = await redis.pttl(entry);
    expect([leftMs > 0, leftMs <= 60_000]).toEqual([true, true]);
    // The minute is over.
    await redis.pexpire(entry, 1);
    await eventually(async () => (await redis.exists(entry)) === 0);
    const third = adjust(two, key, name);
    const [, asked] = await eventually(() => (arrived.length === 2 ? arrived : undefined));
    expect(asked?.key).toBe(name);
    if (asked) answerTo(asked, { 'idempotent-replayed': 'true' });
    const answer = await third;
    expect([answer.status, answer.headers.get('idempotency-replayed'), await answer.text()]).toEqual([200, 'true', '{"stock":41.00']);
    const fourth = await adjust(two, key, name);
    expect([fourth.status, fourth.headers.get('idempotency-replayed'), arrived.length]).toEqual([200, 'true', 2]);
  });
  it('leaves the changes of keys to another one: a key that was revoked after the kill is refused there', async () => {
    const { id, key } = await makeKey();
    expect((await send(two, key)).status).toBe(200);
    await sql`update gateway.api_keys set revoked_at = now() where id = ${id}`.execute(db);
    // Remembered for 30 s where nobody tells.
    await eventually(async () => (await send(two, key)).status === 401, { timeoutMs: 45_000 });
  });
});

describe('a gateway whose Redis came back empty', () => {
  it('goes on by itself: keys are taken meanwhile, and revoked ones refused, sessions kept, requests told apart afterwards', async () => {
    const [{ id, key }, other] = [await makeKey(), await makeKey()];
    expect((await send(two, key)).status).toBe(200);
    await own.kill();
    expect((await send(two, other.key)).status).toBe(200);
    await eventually(async () => (await adjust(two, key, uniqueName('key'))).status === 503);
    await own.restart();
    await sql`update gateway.api_keys set revoked_at = now() where id = ${id}`.execute(db);
    await eventually(async () => (await send(two, key)).status === 401);
    const headers = { 'x-user-id': 'customer-81', 'idempotency-key': uniqueName('key') };
    const begin = () => send(two, other.key, { method: 'POST', path: '/api/sessions', headers, body: '{}' });
    await eventually(async () => (await begin()).status === 201);
    expect((await begin()).headers.get('idempotency-replayed')).toBe('true');
  });
});

describe('a gateway that was started without Redis', () => {
  beforeAll(async () => {
    alone = await startGateway({ GATEWAY_DATABASE_URL: tunnel.url, REDIS_URL: 'redis://127.0.0.1:1' });
  });
  it('is ready, takes keys and administers them, and refuses what needs Redis', async () => {
    const { key } = await makeKey();
    const session = { method: 'POST', path: '/api/sessions', headers: { 'x-user-id': 'customer-81' }, body: '{}' };
    expect([(await send(alone, key)).status, (await send(alone, key, session)).status, (await adjust(alone, key, uniqueName('key'))).status]).toEqual([200, 503, 503]);
  });
  it('refuses a key that it cannot look up while Postgres hangs, and takes it once Postgres answers', async () => {
    const { key } = await makeKey();
    tunnel.swallow(true);
    const refused = await send(alone, key);
    expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([503, '1', expect.objectContaining({ code: 'unavailable' })]);
    tunnel.swallow(false);
    await eventually(async () => (await send(alone, key)).status === 200);
  });
});
