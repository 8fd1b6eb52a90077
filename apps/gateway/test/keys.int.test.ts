import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import { ProblemError, createClient } from '@millrace/client/contract';
import type { Client } from '@millrace/client/contract';
import { auditOperations, changeKey, createKey, getKey, keyOperations, listAudit, listKeys, revokeKey, rotateKey } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHttpApp, encodeCursor, ok, route, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { connectRedis } from '@millrace/redis-kit';
import { createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { createTestDatabase, eventually, startRedisServer } from '@millrace/testing';
import type { RedisServer, TestDatabase } from '@millrace/testing';
import { Router } from 'express';
import { sql } from 'kysely';
import { z } from 'zod';
import { appendAudit } from '../src/audit.repository.ts';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import type { GatewayDb, GatewaySchema } from '../src/database.ts';
import { findKeyOwner } from '../src/key.repository.ts';
import { auditRoutes } from '../src/keys/audit.routes.ts';
import { followKeyChanges, startKeyRelay } from '../src/keys/follow-key-changes.ts';
import { createKeyUsage } from '../src/keys/key-usage.ts';
import type { KeyUsage } from '../src/keys/key-usage.ts';
import { keyRoutes } from '../src/keys/key.routes.ts';
import { insertKey } from '../src/keys/managed-key.repository.ts';
import { migrations } from '../src/migrations/index.ts';
import { routeTable } from '../src/route-table.ts';

const logged: string[] = [];
const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
const peek = { operationId: 'peek', method: 'get', path: '/api/peek', service: 'gateway', scope: 'search:read', summary: '', responses: { 200: { description: '', schema: z.object({ id: z.string(), workspace: z.string() }) } } } as const satisfies Operation;
const steps: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void steps.push(step);
const scopes = ['admin', 'search:read', 'products:read', 'products:write', 'events:write', 'analytics:read'];

interface Gateway {
  readonly usage: KeyUsage;
  readonly server: HttpServer;
  as(key: string): Client;
}
let database: TestDatabase;
/** Of this file alone: keys have one stream. */
let redis: RedisServer;
let db: GatewayDb;
let here: Gateway;
let there: Gateway;
let admin: string;
let lookups = 0;

const makeKey = async (given: readonly string[], more: { workspaceId?: string; expiresAt?: string } = {}): Promise<string> => {
  const key = createApiKey();
  await insertKey(db, { name: 'test', hash: hashApiKey(key), scopes: given, workspaceId: 'default', createdBy: 'test', expiresAt: undefined, ...more });
  return key;
};

/** As main.ts wires it, on a Redis of its own choice. */
async function openGateway(redisUrl = redis.url): Promise<Gateway> {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(redisUrl, { role, name: 'gateway test' }), blockMs: 50, logger });
  onClose(() => bus.close());
  startKeyRelay({ databaseUrl: database.url, directUrl: database.url, logger, onClose, pollMs: 20, connect: () => connectRedis(redisUrl, { role: 'background', name: 'gateway test' }) });
  const usage = createKeyUsage(db, logger, 3_600_000);
  onClose(() => usage.close());
  const authenticate = createAuthenticateKey({ isProduction: true, onUsed: (id) => usage.used(id), findKeyOwner: async (hash) => { lookups += 1; return findKeyOwner(db, hash); } });
  followKeyChanges(bus, [authenticate], logger);
  const peekRouter = Router();
  route(peekRouter, peek, async ({ identity }) => ok({ id: identity.subject, workspace: identity.workspaceId }));
  const routes = routeTable({
    operations: [...keyOperations, ...auditOperations, peek], upstreams: {}, logger, authenticate, signer: { sign: async () => '' },
    local: { ...keyRoutes(db), ...auditRoutes(db), peek: peekRouter }, audit: (entry) => appendAudit(db, entry),
  });
  const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  onClose(() => server.close(0));
  return { usage, server, as: (apiKey) => createClient({ baseUrl: `http://127.0.0.1:${server.port}`, apiKey }) };
}

beforeAll(async () => {
  [database, redis] = await Promise.all([createTestDatabase(), startRedisServer()]);
  onClose(() => Promise.all([database.drop(), redis.stop()]));
  const pool = createPool({ url: database.url, name: 'gateway test', max: 4 });
  onClose(() => pool.end());
  await migrateSchema(createKysely(pool), migrations);
  db = createKysely<GatewaySchema>(pool);
  [here, there] = [await openGateway(), await openGateway()];
  admin = await makeKey(scopes);
});
afterAll(async () => {
  for (const step of steps.toReversed()) await step();
});

const statusOf = (call: Promise<{ readonly status: number }>): Promise<number> =>
  call.then(({ status }) => status, (error: unknown) => { if (error instanceof ProblemError) return error.problem.status; throw error; });
const works = (gateway: Gateway, key: string): Promise<number> => statusOf(gateway.as(key).call(peek));
const problemOf = (call: Promise<unknown>): Promise<unknown> => call.then(() => undefined, (error: unknown) => (error instanceof ProblemError ? error.problem : error));

describe('keys over two gateways', () => {
  it('refuse a key that was revoked at the other one, and one that a command line revoked in the database', async () => {
    for (const revoke of [(id: string) => here.as(admin).call(revokeKey, { params: { id } }), (id: string) => sql`update gateway.api_keys set revoked_at = now() where id = ${id}`.execute(db)]) {
      const { body } = await here.as(admin).call(createKey, { body: { name: 'shop', scopes: ['search:read'] } });
      expect([await works(here, body.key), await works(there, body.key)]).toEqual([200, 200]);
      await revoke(body.id);
      // Remembered for 30 s where nobody tells: well within that.
      await eventually(async () => (await works(here, body.key)) === 401 && (await works(there, body.key)) === 401, { timeoutMs: 5_000 });
    }
  });
  it('take the new secret of a rotated key at once and the old one until its time, as the same caller', async () => {
    const { body: made } = await here.as(admin).call(createKey, { body: { name: 'shop', scopes: ['search:read'] } });
    const { body: rotated, headers } = await there.as(admin).call(rotateKey, { params: { id: made.id }, body: {} });
    expect([rotated.id, headers.get('cache-control'), Date.parse(rotated.old_secret_until ?? '') - Date.parse(rotated.rotated_at ?? '')]).toEqual([made.id, 'no-store', 86_400_000]);
    const callers = await Promise.all([made.key, rotated.key].flatMap((key) => [here, there].map(async (gateway) => (await gateway.as(key).call(peek)).body)));
    expect(callers).toEqual(callers.map(() => ({ id: made.id, workspace: 'default' })));
    const { body: again } = await here.as(admin).call(rotateKey, { params: { id: made.id }, body: { overlap_seconds: 0 } });
    await eventually(async () => (await works(there, made.key)) === 401 && (await works(there, rotated.key)) === 401);
    expect([await works(there, again.key), again.old_secret_until]).toEqual([200, null]);
    await here.as(admin).call(revokeKey, { params: { id: made.id } });
    await eventually(async () => (await works(there, again.key)) === 401);
    expect(await statusOf(here.as(admin).call(rotateKey, { params: { id: made.id }, body: {} }))).toBe(409);
  });
  it('hear of other scopes and of another expiry', async () => {
    const { body } = await here.as(admin).call(createKey, { body: { name: 'shop', roles: ['viewer'] } });
    expect(body.scopes).toEqual(['products:read', 'search:read', 'analytics:read']);
    expect(await works(there, body.key)).toBe(200);
    await here.as(admin).call(changeKey, { params: { id: body.id }, body: { scopes: ['products:read'], name: 'renamed', expires_at: '2999-01-01T00:00:00Z' } });
    await eventually(async () => (await works(there, body.key)) === 403);
    const { body: read } = await there.as(admin).call(getKey, { params: { id: body.id } });
    expect(read).toMatchObject({ name: 'renamed', scopes: ['products:read'], expires_at: '2999-01-01T00:00:00.000000Z', state: 'active' });
    expect(read).not.toHaveProperty('key');
  });
  it('write the last use behind the requests, the latest of all gateways', async () => {
    const { body } = await here.as(admin).call(createKey, { body: { name: 'shop', scopes: ['search:read'] } });
    await works(here, body.key);
    expect((await here.as(admin).call(getKey, { params: { id: body.id } })).body.last_used_at).toBeNull();
    await works(there, body.key);
    await Promise.all([there.usage.flush(), here.usage.flush()]);
    const { last_used_at: at } = (await here.as(admin).call(getKey, { params: { id: body.id } })).body;
    expect(Date.parse(at ?? '')).toBeGreaterThan(Date.parse(body.created_at));
  });
});

describe('administering keys', () => {
  it('gives nobody scopes, a workspace or a secret of more than the caller has', async () => {
    const small = await makeKey(['admin', 'search:read']);
    const { body: big } = await here.as(admin).call(createKey, { body: { name: 'big', scopes: ['products:write'] } });
    const as = here.as(small);
    expect(await problemOf(as.call(createKey, { body: { name: 'x', scopes: ['search:read', 'products:write'] } }))).toMatchObject({ status: 403, pointer: '/scopes', detail: expect.stringContaining('products:write') });
    expect(await problemOf(as.call(createKey, { body: { name: 'x', roles: ['editor'] } }))).toMatchObject({ status: 403, pointer: '/roles' });
    expect(await problemOf(as.call(createKey, { body: { name: 'x', publishable: { origins: ['https://a.example'] } } }))).toMatchObject({ status: 403, pointer: '/publishable' });
    expect(await problemOf(as.call(createKey, { body: { name: 'x', scopes: ['search:read'], workspace_id: 'other' } }))).toMatchObject({ status: 403, pointer: '/workspace_id' });
    expect(await problemOf(as.call(rotateKey, { params: { id: big.id }, body: {} }))).toMatchObject({ status: 403, pointer: '/id' });
    expect(await problemOf(as.call(changeKey, { params: { id: big.id }, body: { expires_at: null } }))).toMatchObject({ status: 403, pointer: '/id' });
    expect(await statusOf(as.call(revokeKey, { params: { id: big.id } }))).toBe(204);
    expect(await statusOf(here.as(await makeKey(['search:read'])).call(listKeys))).toBe(403);
  });
  it('shows and changes keys of its own workspace only', async () => {
    const stranger = here.as(await makeKey(scopes, { workspaceId: 'acme' }));
    const { body: own } = await stranger.call(createKey, { body: { name: 'own', scopes: ['search:read'] } });
    const { body: other } = await here.as(admin).call(createKey, { body: { name: 'other', scopes: ['search:read'] } });
    expect([own.workspace_id, (await here.as(own.key).call(peek)).body]).toEqual(['acme', { id: own.id, workspace: 'acme' }]);
    const params = { id: other.id };
    expect(await Promise.all([stranger.call(getKey, { params }), stranger.call(revokeKey, { params }), stranger.call(rotateKey, { params, body: {} }), stranger.call(changeKey, { params, body: { name: 'mine' } })].map(statusOf))).toEqual([404, 404, 404, 404]);
    const { data } = (await stranger.call(listKeys)).body;
    expect(new Set(data.map((key) => key.workspace_id))).toEqual(new Set(['acme']));
    await eventually(async () => (await stranger.call(listAudit, { query: { operation: 'createKey' } })).body.data.length === 1);
    expect(new Set((await stranger.call(listAudit)).body.data.map((entry) => entry.workspace_id))).toEqual(new Set(['acme']));
  });
  it('makes publishable keys that send events from their origins only', async () => {
    const { body } = await here.as(admin).call(createKey, { body: { name: 'pages', publishable: { origins: ['https://shop.example', 'https://shop.example'] } } });
    expect(body).toMatchObject({ kind: 'publishable', key: expect.stringMatching(/^mr_pub_/), scopes: ['events:write'], origins: ['https://shop.example'], event_types: ['view', 'click', 'add_to_cart'] });
    expect(await works(there, body.key)).toBe(403);
    expect(await statusOf(here.as(admin).call(changeKey, { params: { id: body.id }, body: { scopes: ['search:read'] } }))).toBe(409);
    expect((await here.as(admin).call(rotateKey, { params: { id: body.id }, body: {} })).body.key).toMatch(/^mr_pub_/);
  });
  it.each([
    ['neither scopes nor roles', { name: 'x' }],
    ['scopes and roles', { name: 'x', scopes: ['search:read'], roles: ['viewer'] }],
    ['an unknown scope', { name: 'x', scopes: ['everything'] }],
    ['no scopes', { name: 'x', scopes: [] }],
    ['an unknown role', { name: 'x', roles: ['root'] }],
    ['no name', { name: ' ', scopes: ['search:read'] }],
    ['a name that steers terminals', { name: 'a\u001B[2J', scopes: ['search:read'] }],
    ['a time in the past', { name: 'x', scopes: ['search:read'], expires_at: '2020-01-01T00:00:00Z' }],
    ['a workspace of a wrong form', { name: 'x', scopes: ['search:read'], workspace_id: '../etc' }],
    ['an id of its own', { name: 'x', scopes: ['search:read'], id: 'key_mine' }],
    ['an origin with a path', { name: 'x', publishable: { origins: ['https://a.example/x'] } }],
    ['every origin', { name: 'x', publishable: { origins: ['*'] } }],
  ])('refuses %s and makes nothing', async (_what, body) => {
    const before = (await here.as(admin).call(listKeys, { query: { limit: 200 } })).body.data.length;
    const answer = await fetch(`http://127.0.0.1:${here.server.port}/api/admin/keys`, { method: 'POST', headers: { 'x-api-key': admin, 'content-type': 'application/json' }, body: JSON.stringify(body) });
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'invalid_request' }]);
    expect((await here.as(admin).call(listKeys, { query: { limit: 200 } })).body.data).toHaveLength(before);
  });
  it.each([
    ['GET', '/api/admin/audit?key_id=%00', '/key_id'],
    ['GET', '/api/admin/audit?operation=a%00b', '/operation'],
    ['GET', '/api/admin/audit?since=0000-01-01T00:00:00Z', '/since'],
    ['GET', '/api/admin/audit?until=2026-11-02T08:00:00%2B20:00', '/until'],
    ['GET', `/api/admin/audit?cursor=${encodeCursor(['0000-01-01T00:00:00Z', 1])}`, '/cursor'],
    ['GET', `/api/admin/audit?cursor=${encodeCursor(['2026-01-01T00:00:00Z', 2 ** 53])}`, '/cursor'],
    ['GET', `/api/admin/keys?cursor=${encodeCursor(['2026-01-01T00:00:00Z', 'key_\0'])}`, '/cursor'],
    ['POST', '/api/admin/keys', '/expires_at', { name: 'x', scopes: ['search:read'], expires_at: '2999-11-02T08:00:00+20:00' }],
    ['POST', '/api/admin/keys', '/name', { name: 'half \uD800', scopes: ['search:read'] }],
    ['POST', '/api/admin/keys', '/name', { name: 'a\u202Eb', scopes: ['search:read'] }],
  ])('answers %s %s, which Postgres would refuse, with 400 at %s', async (...[method, path, pointer, body]: readonly [string, string, string, unknown?]) => {
    const answer = await fetch(`http://127.0.0.1:${here.server.port}${path}`, { method, headers: { 'x-api-key': admin, 'content-type': 'application/json' }, ...(body !== undefined && { body: JSON.stringify(body) }) });
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'invalid_request', pointer }]);
  });
  it('lists every key once, page by page, and refuses a cursor of another listing', async () => {
    const all = (await here.as(admin).call(listKeys, { query: { limit: 200 } })).body.data.map((key) => key.id);
    const ids: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const { data, page } = (await here.as(admin).call(listKeys, { query: { limit: 3, cursor } })).body;
      ids.push(...data.map((key) => key.id));
      if (page.next === null) break;
      cursor = page.next;
    }
    expect(ids).toEqual(all);
    const { page } = (await here.as(admin).call(listKeys, { query: { limit: 1 } })).body;
    expect(await problemOf(here.as(admin).call(listAudit, { query: { cursor: page.next ?? '' } }))).toMatchObject({ status: 400, pointer: '/cursor' });
  });
});

describe('the audit log', () => {
  it('is asked by time, caller, operation and status, newest first, page by page, and grows only', async () => {
    const own = await makeKey(['admin', 'search:read'], { workspaceId: 'audited' });
    const as = here.as(own);
    const { body: made } = await as.call(createKey, { body: { name: 'a', scopes: ['search:read'] } });
    const find = async (query: Record<string, string>) => (await as.call(listAudit, { query })).body.data.filter(({ operation }) => operation !== 'listAudit').map(({ operation, status }) => `${operation} ${status}`);
    // Entries are written after the answer.
    await eventually(async () => (await find({ operation: 'createKey' })).length === 1);
    for (const _ of [1, 2, 3]) await statusOf(as.call(createKey, { body: { name: 'b', scopes: ['products:write'] } }));
    await as.call(revokeKey, { params: { id: made.id } });
    await eventually(async () => (await find({ limit: '200' })).length === 5);
    expect(await find({ operation: 'createKey', status: '4xx' })).toEqual(['createKey 403', 'createKey 403', 'createKey 403']);
    expect(await find({ status: '204' })).toEqual(['revokeKey 204']);
    const { data } = (await as.call(listAudit, { query: { operation: 'revokeKey' } })).body;
    expect(data).toMatchObject([{ path: `/api/admin/keys/${made.id}`, method: 'DELETE', workspace_id: 'audited' }]);
    const [entry] = data;
    expect(await find({ since: entry?.at ?? '', operation: 'revokeKey' })).toHaveLength(1);
    expect(await find({ until: entry?.at ?? '', operation: 'revokeKey' })).toHaveLength(0);
    expect(await find({ key_id: entry?.key_id ?? '', operation: 'createKey' })).toHaveLength(4);
    expect(await find({ key_id: 'key_nobody' })).toEqual([]);
    const first = (await as.call(listAudit, { query: { operation: 'createKey', limit: 3 } })).body;
    const second = (await as.call(listAudit, { query: { operation: 'createKey', limit: 3, cursor: first.page.next ?? '' } })).body;
    expect([...first.data, ...second.data].map(({ status }) => status)).toEqual([403, 403, 403, 201]);
    expect([new Set([...first.data, ...second.data].map(({ id }) => id)).size, second.page.next]).toEqual([4, null]);
    for (const bad of [{ status: '9xx' }, { since: 'yesterday' }, { since: '2026-01-01T00:00:00+23:37' }, { until: '2026-01-01T00:00:00Z', since: '2026-01-02T00:00:00Z' }, { who: 'me' }]) expect(await statusOf(as.call(listAudit, { query: bad }))).toBe(400);
    await expect(sql`delete from gateway.audit_log`.execute(db)).rejects.toThrow('append-only');
  });
});

describe('without its neighbours', () => {
  it('lets keys in, and makes them, while Redis is away', async () => {
    const alone = await openGateway('redis://127.0.0.1:1');
    const { body } = await alone.as(admin).call(createKey, { body: { name: 'x', scopes: ['search:read'] } });
    expect(await works(alone, body.key)).toBe(200);
  });
  it('asks the database once for many requests of one key', async () => {
    // Once more where a change that was told of meanwhile, of whichever key, has it asked again.
    await eventually(async () => {
      const [key, before] = [await makeKey(['search:read']), lookups];
      const statuses = await Promise.all(Array.from({ length: 20 }, () => works(here, key)));
      expect([new Set(statuses), lookups - before]).toEqual([new Set([200]), 1]);
      return true;
    });
  });
  it('has no secret and no hash in logs, the audit log, the outbox or listings', async () => {
    const { body } = await here.as(admin).call(createKey, { body: { name: 'canary', scopes: ['search:read'] } });
    const { body: rotated } = await here.as(admin).call(rotateKey, { params: { id: body.id }, body: { overlap_seconds: 60 } });
    await works(there, `${body.key}x`);
    await fetch(`http://127.0.0.1:${here.server.port}/api/peek?key=${rotated.key}`, { headers: { 'x-api-key': rotated.key } });
    await eventually(async () => (await sql`select 1 from gateway.outbox_published where key = ${body.id}`.execute(db)).rows.length > 0);
    const stored = await Promise.all(['audit_log', 'outbox', 'outbox_published', 'key_usage', 'listed_keys'].map(async (table) => JSON.stringify((await sql`select * from ${sql.table(`gateway.${table}`)}`.execute(db)).rows)));
    const shown = JSON.stringify([(await here.as(admin).call(listKeys, { query: { limit: 200 } })).body, (await here.as(admin).call(listAudit, { query: { limit: 200 } })).body]);
    for (const secret of [body.key, rotated.key, admin, hashApiKey(body.key), hashApiKey(rotated.key)]) expect([...stored, shown, logged.join('\n')].filter((text) => text.includes(secret))).toEqual([]);
    const secrets = await sql<{ hash: string }>`select hash from gateway.api_keys where id = ${body.id} union select hash from gateway.old_key_secrets where key_id = ${body.id}`.execute(db);
    expect(secrets.rows.map(({ hash }) => hash).toSorted()).toEqual([body.key, rotated.key].map(hashApiKey).toSorted());
  });
});
