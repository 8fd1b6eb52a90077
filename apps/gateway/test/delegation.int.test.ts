import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import { keyOperations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHttpApp, ok, route, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { connectRedis } from '@millrace/redis-kit';
import { createApiKey, createLogger, createMetrics, createServiceKeys, hashApiKey, openIdentitySigner, openIdentityVerifier } from '@millrace/service';
import { createTestDatabase, eventually, testServer } from '@millrace/testing';
import { Router } from 'express';
import { SignJWT, UnsecuredJWT, decodeJwt, importJWK } from 'jose';
import type { JWTHeaderParameters } from 'jose';
import { sql } from 'kysely';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import type { GatewayDb, GatewaySchema } from '../src/database.ts';
import { findKeyOwner, findKeyOwnerById } from '../src/key.repository.ts';
import type { KeyOwner } from '../src/key.repository.ts';
import { createAuthenticateToken } from '../src/keys/authenticate-token.ts';
import { openAuthenticateDelegated, openDelegate } from '../src/keys/delegation.ts';
import type { Delegate } from '../src/keys/delegation.ts';
import { followKeyChanges, startKeyRelay } from '../src/keys/follow-key-changes.ts';
import { keyRoutes } from '../src/keys/key.routes.ts';
import { openKeyFile } from '../src/keys/key-set.ts';
import { insertKey } from '../src/keys/managed-key.repository.ts';
import { migrations } from '../src/migrations/index.ts';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { answererOf, routeTable } from '../src/route-table.ts';

const redisUrl = testServer('redis');
const logged: string[] = [];
const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
const steps: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void steps.push(step);
const common = { service: 'gateway', summary: '', responses: {} } as const;
const peek: Operation = { ...common, operationId: 'peek', method: 'get', path: '/api/peek', scope: 'search:read' };
const write: Operation = { ...common, operationId: 'write', method: 'post', path: '/api/write', scope: 'products:write' };
const mcp: Operation = { ...common, operationId: 'mcp', method: 'post', path: '/mcp', service: 'mcp', scope: 'search:read' };
const other: Operation = { ...common, operationId: 'other', method: 'post', path: '/api/other', service: 'other', scope: 'search:read' };

let directory: string;
let db: GatewayDb;
let gateway: HttpServer;
let delegate: Delegate;
/** What the services behind the gateway were told. */
const told: IncomingHttpHeaders[] = [];
/** Of the gateway that checks. */
let clockMs = 0;
const file = (name: string): string => join(directory, name);

const makeKey = async (scopes: readonly string[], expiresAt?: string): Promise<{ readonly id: string; readonly key: string; readonly owner: KeyOwner }> => {
  const key = createApiKey();
  const id = await insertKey(db, { name: 'test', hash: hashApiKey(key), scopes, workspaceId: 'default', createdBy: 'test', expiresAt });
  const owner = await findKeyOwner(db, hashApiKey(key));
  if (!owner) throw new Error('the key is not there');
  return { id, key, owner };
};
const user: KeyOwner = { id: 'user:5b1f', kind: 'user', workspaceId: 'acme', scopes: ['search:read'], isDevelopment: false, expiresAtMs: Date.now() + 600_000 };

beforeAll(async () => {
  const [database, made] = await Promise.all([createTestDatabase(), mkdtemp(join(tmpdir(), 'gateway-delegation-'))]);
  directory = made;
  onClose(() => Promise.all([database.drop(), rm(directory, { recursive: true })]));
  const keys = await createServiceKeys(['gateway', 'catalog-api']);
  for (const [name, jwk] of Object.entries(keys.privateKeys)) await writeFile(file(`${name}.jwk`), JSON.stringify(jwk));
  await writeFile(file('jwks.json'), JSON.stringify(keys.jwks));
  const pool = createPool({ url: database.url, name: 'gateway test', max: 4 });
  onClose(() => pool.end());
  await migrateSchema(createKysely(pool), migrations);
  db = createKysely<GatewaySchema>(pool);
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(redisUrl, { role, name: 'gateway test' }), blockMs: 50, logger });
  onClose(() => bus.close());
  startKeyRelay({ databaseUrl: database.url, directUrl: database.url, logger, onClose, pollMs: 20, connect: () => connectRedis(redisUrl, { role: 'background', name: 'gateway test' }) });
  const service = createServer((req, res) => {
    told.push(req.headers);
    req.resume().once('end', () => res.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 }).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  const upstream = createUpstream('mcp', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  onClose(async () => { await upstream.close(); service.closeAllConnections(); service.close(); });
  delegate = await openDelegate(file('gateway.jwk'));
  const authenticate = createAuthenticateKey({ isProduction: true, findKeyOwner: (hash) => findKeyOwner(db, hash) });
  const authenticateDelegated = await openAuthenticateDelegated({ jwksFile: file('jwks.json'), findKeyOwnerById: (id) => findKeyOwnerById(db, id), isProduction: true, now: () => Date.now() + clockMs });
  followKeyChanges(bus, [authenticate, authenticateDelegated], logger);
  const router = Router();
  for (const one of [peek, write]) route(router, one, async ({ identity }) => ok(identity));
  const routes = routeTable({
    operations: [...keyOperations, peek, write, mcp, other], upstreams: { mcp: upstream, other: upstream }, logger, authenticate, authenticateDelegated, delegate, signer: await openIdentitySigner(file('gateway.jwk')),
    // A provider whose key set has the gateways' own key: only the issuer tells its tokens from theirs.
    authenticateToken: createAuthenticateToken({ keyOf: (await openKeyFile(file('jwks.json'))).keyOf, issuer: 'https://login.example', audience: 'millrace', claims: { roles: 'roles', workspace: 'workspace_id' } }),
    local: { ...keyRoutes(db), peek: router, write: router }, audit: async () => undefined,
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  onClose(() => gateway.close(0));
});
afterAll(async () => {
  for (const step of steps.toReversed()) await step();
});

const call = (path: string, headers: Record<string, string>, body?: object): Promise<Response> =>
  fetch(`http://127.0.0.1:${gateway.port}${path}`, { method: body ? 'POST' : 'GET', headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }, ...(body && { body: JSON.stringify(body) }) });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const statusOf = async (token: string): Promise<number> => (await call('/api/peek', bearer(token))).status;

describe('a token that a gateway hands on', () => {
  it('acts for a key with no more than the key may do now, under the same id', async () => {
    const { id, key, owner } = await makeKey(['search:read', 'products:read']);
    const answer = await call('/api/peek', bearer(await delegate(owner)));
    expect([answer.status, await answer.json()]).toEqual([200, { issuer: 'gateway', subject: id, workspaceId: 'default', scopes: ['search:read', 'products:read'] }]);
    expect((await call('/api/peek', { 'x-api-key': key })).status).toBe(200);
    const wider = await call('/api/write', bearer(await delegate({ ...owner, scopes: ['search:read', 'products:write'] })), {});
    expect([wider.status, await wider.json()]).toMatchObject([403, { detail: 'this key lacks the scope products:write' }]);
    const narrow = await call('/api/peek', bearer(await delegate({ ...owner, scopes: [] })));
    expect(narrow.status).toBe(403);
    const elsewhere = await call('/api/peek', bearer(await delegate({ ...owner, workspaceId: 'acme' })));
    expect(elsewhere.status).toBe(401);
  });
  it('acts for a person with the scopes of their own token, in their workspace', async () => {
    const answer = await call('/api/peek', bearer(await delegate(user)));
    expect([answer.status, await answer.json()]).toEqual([200, { issuer: 'gateway', subject: 'user:5b1f', workspaceId: 'acme', scopes: ['search:read'] }]);
  });
  it('is refused at once after its key is revoked, and after a scope is taken', async () => {
    const { id, owner } = await makeKey(['search:read']);
    const token = await delegate(owner);
    expect(await statusOf(token)).toBe(200);
    await sql`update gateway.api_keys set scopes = '{products:read}' where id = ${id}`.execute(db);
    // Remembered for 30 s where nobody tells: well within that.
    await eventually(async () => (await statusOf(token)) === 403, { timeoutMs: 5_000 });
    await sql`update gateway.api_keys set revoked_at = now() where id = ${id}`.execute(db);
    await eventually(async () => (await statusOf(token)) === 401, { timeoutMs: 5_000 });
  });
  it('ends after a minute, and never later than the key, the person\'s token, or the token that it was made by', async () => {
    const { owner } = await makeKey(['search:read'], new Date(Date.now() + 20_000).toISOString());
    const [short, long] = [await delegate(owner), await delegate(user)];
    const { exp = 0, iat = 0 } = decodeJwt(long);
    expect(exp - iat).toBe(60);
    expect(decodeJwt(short).exp).toBeLessThanOrEqual((owner.expiresAtMs ?? 0) / 1_000);
    clockMs = 21_000;
    expect([await statusOf(short), await statusOf(long)]).toEqual([401, 200]);
    clockMs = 61_000;
    expect(await statusOf(long)).toBe(401);
    clockMs = 0;
    expect(decodeJwt(await delegate({ ...user, expiresAtMs: exp * 1_000 - 30_000, isDelegated: true })).exp).toBe(exp - 30);
  });
  it('lasts its minute where the second changes while it is made', async () => {
    let nowMs = Date.now();
    const hurried = await openDelegate(file('gateway.jwk'), () => (nowMs += 1_000));
    const { exp = 0, iat = 0 } = decodeJwt(await hurried({ ...user, expiresAtMs: nowMs + 600_000 }));
    expect(exp - iat).toBe(60);
  });
  it('is not prolonged by calling with it: the token that such a call hands on ends with it', async () => {
    const { owner } = await makeKey(['search:read']);
    const first = await delegate({ ...owner, expiresAtMs: Date.now() + 30_000 });
    expect((await call('/mcp', bearer(first), {})).status).toBe(200);
    const second = String(told.at(-1)?.['x-millrace-gateway-token']);
    expect(decodeJwt(second).exp).toBe(decodeJwt(first).exp);
  });
  it('is for gateways only, and what services take is none of them', async () => {
    const { owner } = await makeKey(['search:read']);
    const verifier = await openIdentityVerifier(file('jwks.json'), 'catalog-api');
    await expect(verifier.verify(await delegate(owner))).rejects.toMatchObject({ code: 'unauthenticated' });
    const caller = { subject: owner.id, scopes: owner.scopes, workspaceId: 'default' };
    const own = await openIdentitySigner(file('gateway.jwk'));
    const anothers = await openIdentitySigner(file('catalog-api.jwk'));
    // For a service; for the gateway, but no handed-on token; signed by a service.
    expect(await Promise.all([own.sign('catalog-api', caller), own.sign('gateway', caller), anothers.sign('gateway', caller)].map(async (token) => statusOf(await token)))).toEqual([401, 401, 401]);
  });
  it('is refused unsigned, changed, of another form, or signed by a service that calls itself a gateway', async () => {
    const { id, owner } = await makeKey(['search:read']);
    const good = await delegate(owner);
    const claims = decodeJwt(good);
    const sign = async (payload: object, header: Partial<JWTHeaderParameters> = {}, by = 'gateway'): Promise<string> => {
      const jwk = JSON.parse(await readFile(file(`${by}.jwk`), 'utf8'));
      return new SignJWT({ ...claims, ...payload }).setProtectedHeader({ alg: 'EdDSA', kid: by, typ: 'delegated+jwt', ...header }).sign(await importJWK(jwk, 'EdDSA'));
    };
    expect(await statusOf(await sign({}))).toBe(200);
    const [head = '', , signature = ''] = good.split('.');
    const forged = Buffer.from(JSON.stringify({ ...claims, scope: 'admin search:read' })).toString('base64url');
    const bad = [
      new UnsecuredJWT(claims).encode(), `${Buffer.from('{"alg":"none","kid":"gateway","typ":"delegated+jwt"}').toString('base64url')}.${good.split('.')[1]}.`, `${head}.${forged}.${signature}`,
      await sign({}, { typ: 'JWT' }), await sign({}, {}, 'catalog-api'), await sign({ iss: 'catalog-api' }, {}, 'catalog-api'), await sign({}, { kid: 'gateway' }, 'catalog-api'),
      await sign({ aud: ['gateway', 'catalog-api'] }), await sign({ aud: 'catalog-api' }), await sign({ exp: 1 }), await sign({ exp: undefined }), await sign({ sub: undefined }),
      await sign({ kind: 'user' }), await sign({ kind: 'publishable' }), await sign({ sub: `user:${id}` }), await sign({ sub: 'key_nobody' }), await sign({ workspace_id: '../x' }), await sign({ filler: 'x'.repeat(8_192) }),
    ];
    expect(await Promise.all(bad.map(statusOf))).toEqual(bad.map(() => 401));
  });
  it('cannot make, change, rotate or revoke keys, and must not come together with a key', async () => {
    const { id, key, owner } = await makeKey(['admin', 'search:read']);
    const token = bearer(await delegate(owner));
    expect((await call('/api/admin/keys', token)).status).toBe(200);
    const refused = [await call('/api/admin/keys', token, { name: 'mine', scopes: ['admin'] }), await call(`/api/admin/keys/${id}/rotate`, token, {})];
    for (const method of ['PATCH', 'DELETE']) refused.push(await fetch(`http://127.0.0.1:${gateway.port}/api/admin/keys/${id}`, { method, headers: token }));
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect((await call('/api/peek', { ...token, 'x-api-key': key })).status).toBe(400);
  });
  it('is made for no publishable key', async () => {
    await expect(delegate({ ...user, id: 'key_1', kind: 'publishable', origins: [] })).rejects.toMatchObject({ code: 'forbidden' });
  });
  it('goes to the service mcp alone, with the program\'s name, and never from a caller', async () => {
    const { id, key } = await makeKey(['search:read']);
    for (const path of ['/mcp', '/api/other']) expect((await call(path, { 'x-api-key': key, 'x-millrace-gateway-token': 'mine' }, {})).status).toBe(200);
    const [toMcp, toOther] = told.slice(-2);
    const token = String(toMcp?.['x-millrace-gateway-token']);
    expect([decodeJwt(token), toOther]).toMatchObject([{ iss: 'gateway', aud: 'gateway', sub: id, kind: 'secret', scope: 'search:read', is_development: false }, expect.not.objectContaining({ 'x-millrace-gateway-token': expect.anything() })]);
    expect(await statusOf(token)).toBe(200);
    expect(decodeJwt(await delegate(user, { clientName: ' Desk\r\ntop  1.0 ' }))['client']).toBe('Desktop  1.0');
  });
  it('is needed by a route of mcp: no gateway starts without', () => {
    const upstream: Upstream = { forward: async () => undefined, endFeeds: () => undefined, close: async () => undefined };
    expect(() => answererOf(mcp, { upstreams: { mcp: upstream }, local: {}, signer: { sign: async () => '' } })).toThrow('needs tokens for the calls of mcp');
  });
  it('is in no log', async () => {
    const { owner } = await makeKey(['search:read']);
    const token = await delegate(owner);
    await Promise.all([statusOf(token), statusOf(`${token}x`)]);
    for (const part of [token, token.split('.')[1] ?? '', token.split('.')[2] ?? '']) expect(logged.join('\n')).not.toContain(part);
  });
});

describe('a token that is handed on again', () => {
  it('is the same one for the same caller and program within twenty seconds, another one for other scopes, and never one that outlives its caller', async () => {
    let nowMs = Date.now();
    const again = await openDelegate(file('gateway.jwk'), () => nowMs);
    const { owner } = await makeKey(['search:read', 'products:read']);
    const first = await again(owner, { clientName: 'desk' });
    expect(await again({ ...owner }, { clientName: 'desk' })).toBe(first);
    const others = [await again(owner, { clientName: 'other' }), await again({ ...owner, scopes: ['search:read'] }, { clientName: 'desk' }), await again({ ...owner, workspaceId: 'team' }, { clientName: 'desk' })];
    expect(new Set([first, ...others]).size).toBe(4);
    const soon = { ...owner, expiresAtMs: nowMs + 30_000 };
    expect(decodeJwt(await again(soon, { clientName: 'desk' })).exp).toBe(Math.floor((nowMs + 30_000) / 1_000));
    nowMs += 20_001;
    const later = await again(owner, { clientName: 'desk' });
    expect([later === first, decodeJwt(later).exp]).toEqual([false, Math.floor((nowMs + 60_000) / 1_000)]);
  });
});
