import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, ok, route, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createApiKey, createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { Router } from 'express';
import { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK, JWTHeaderParameters } from 'jose';
import type { AuditEntry } from '../src/audit.repository.ts';
import { configSchema } from '../src/config.ts';
import { createAuthenticateToken } from '../src/keys/authenticate-token.ts';
import { openRemoteKeySet } from '../src/keys/key-set.ts';
import type { KeySet } from '../src/keys/key-set.ts';
import { routeTable } from '../src/route-table.ts';

const ISSUER = 'https://login.example';
const AUDIENCE = 'millrace';
const peek: Operation = { operationId: 'peek', method: 'get', path: '/api/peek', service: 'gateway', scope: 'search:read', summary: '', audited: true, responses: {} };
const page: Operation = { operationId: 'page', method: 'post', path: '/api/page', service: 'gateway', scope: 'events:write', summary: '', isPublishable: true, responses: {} };
const logged: string[] = [];
const audited: AuditEntry[] = [];
const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
const claims = { roles: 'realm_access.roles', workspace: 'workspace_id' };
const COOLDOWN_MS = 3_600_000;

interface Pair { readonly kid: string; readonly own: CryptoKey; readonly open: JWK }
const newPair = async (kid: string, alg = 'RS256'): Promise<Pair> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, own: privateKey, open: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
};
let provider: Server;
let jwksUrl: URL;
let published: JWK[] = [];
let asked = 0;
let isAway = false;
let gateway: HttpServer;
let keySet: KeySet;
let first: Pair;
let second: Pair;
let clockMs = 0;

beforeAll(async () => {
  [first, second] = [await newPair('first'), await newPair('second', 'ES256')];
  published = [first.open];
  provider = createServer((_req, res) => {
    asked += 1;
    if (isAway) res.socket?.destroy();
    else res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: published }));
  }).listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const address = provider.address();
  jwksUrl = new URL(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/jwks`);
  keySet = openRemoteKeySet(jwksUrl, { logger, cooldownMs: COOLDOWN_MS });
  const peekRouter = Router();
  for (const operation of [peek, page]) route(peekRouter, operation, async ({ identity }) => ok(identity));
  const routes = routeTable({
    operations: [peek, page], upstreams: {}, local: { peek: peekRouter, page: peekRouter }, logger, signer: { sign: async () => '' }, audit: async (entry) => void audited.push(entry),
    authenticate: async () => ({ id: 'key_1', scopes: ['search:read'], isDevelopment: false, workspaceId: 'default', kind: 'secret' }),
    authenticateToken: createAuthenticateToken({ keyOf: keySet.keyOf, issuer: ISSUER, audience: AUDIENCE, claims, now: () => Date.now() + clockMs }),
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  keySet.close();
  await gateway.close(0);
  provider.closeAllConnections();
  provider.close();
});
beforeEach(() => { clockMs = 0; });

const viewer = { realm_access: { roles: ['viewer', 'unknown'] } };
const nowSeconds = (): number => Math.floor(Date.now() / 1_000);
const tokenOf = (payload: object = {}, { pair = first, header = {} }: { pair?: Pair; header?: Partial<JWTHeaderParameters> } = {}): Promise<string> =>
  new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: '5b1f', exp: nowSeconds() + 600, ...viewer, ...payload }).setProtectedHeader({ alg: 'RS256', kid: pair.kid, typ: 'at+jwt', ...header }).sign(pair.own);
const call = (token: string, headers: Record<string, string> = {}) => fetch(`http://127.0.0.1:${gateway.port}/api/peek`, { headers: { authorization: `Bearer ${token}`, ...headers } });

describe('tokens of an identity provider', () => {
  it('let a person in with the scopes of their roles, in their workspace, under a name of their own', async () => {
    const answer = await call(await tokenOf({ workspace_id: 'acme', scope: 'admin ops', roles: ['ops'] }));
    expect([answer.status, await answer.json()]).toEqual([200, { issuer: 'gateway', subject: 'user:5b1f', workspaceId: 'acme', scopes: ['products:read', 'search:read', 'analytics:read'] }]);
    await eventually(() => audited.some(({ keyId, workspaceId }) => keyId === 'user:5b1f' && workspaceId === 'acme'));
    expect(await (await call(await tokenOf({ aud: ['other', AUDIENCE], realm_access: { roles: 'editor pii' } }, { header: { typ: 'JWT' } }))).json()).toMatchObject({ workspaceId: 'default', scopes: expect.arrayContaining(['products:write', 'pii:read']) });
  });
  it.each([
    ['another audience', { aud: 'shop' }], ['no audience', { aud: undefined }], ['another issuer', { iss: 'https://evil.example' }], ['an expiry long ago', { exp: 1 }], ['no expiry', { exp: undefined }],
    ['a beginning in an hour', { nbf: nowSeconds() + 3_600 }], ['nobody', { sub: undefined }], ['a subject that breaks lines', { sub: 'a\r\nb' }], ['a workspace of a wrong form', { workspace_id: '../x' }], ['a workspace that is no text', { workspace_id: 7 }], ['null for a workspace', { workspace_id: null }],
  ])('are refused with %s', async (_what, payload) => {
    const answer = await call(await tokenOf(payload));
    expect([answer.status, answer.headers.get('www-authenticate'), await answer.json()]).toMatchObject([401, 'Bearer error="invalid_token"', { code: 'unauthenticated', pointer: '/authorization' }]);
  });
  it('are refused unsigned, signed by the public key as a password, by a stranger, with another type, changed, or too long', async () => {
    const good = await tokenOf();
    const [head = '', body = '', signature = ''] = good.split('.');
    const payload = { iss: ISSUER, aud: AUDIENCE, sub: '5b1f', exp: nowSeconds() + 600, realm_access: { roles: ['ops'] } };
    const forged = Buffer.from(JSON.stringify(payload)).toString('base64url');
    const stranger = await newPair('first');
    const bad = [
      new UnsecuredJWT(payload).encode(), `${Buffer.from('{"alg":"none","kid":"first"}').toString('base64url')}.${body}.`,
      await new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(Buffer.from(JSON.stringify(first.open))),
      await tokenOf({}, { pair: stranger }), await tokenOf({}, { header: { typ: 'logout+jwt' } }), await tokenOf({}, { header: { typ: 'dpop+jwt', jwk: stranger.open } }),
      `${head}.${forged}.${signature}`, 'rubbish', 'a.b.c', 'x'.repeat(9_000), await tokenOf({ filler: 'x'.repeat(8_192) }),
    ];
    expect(await Promise.all(bad.map(async (token) => (await call(token)).status))).toEqual(bad.map(() => 401));
    expect((await call(good)).status).toBe(200);
  });
  it('give nothing without a role', async () => {
    const answer = await call(await tokenOf({ realm_access: { roles: ['admin', '__proto__', 7] } }));
    expect([answer.status, await answer.json()]).toMatchObject([403, { detail: 'this token lacks the scope search:read' }]);
    expect((await call(await tokenOf({ realm_access: 'viewer' }))).status).toBe(403);
  });
  it('end on time although they are remembered', async () => {
    const token = await tokenOf({ exp: nowSeconds() + 5 });
    expect((await call(token)).status).toBe(200);
    clockMs = 36_000;
    expect((await call(token)).status).toBe(401);
  });
  it('must not come together with a key, and other schemes do not count', async () => {
    const token = await tokenOf();
    const both = await call(token, { 'x-api-key': createApiKey() });
    expect([both.status, await both.json()]).toMatchObject([400, { code: 'invalid_request', pointer: '/authorization', detail: 'send an API key or a token, not both' }]);
    const inAddress = await fetch(`http://127.0.0.1:${gateway.port}/api/page?key=${createApiKey()}`, { method: 'POST', headers: { authorization: `bearer ${token}` } });
    expect(inAddress.status).toBe(400);
    expect((await call(token, { 'x-api-key': createApiKey(), authorization: 'Basic eDp5' })).status).toBe(200);
  });
  it('are named beside keys where a caller sends neither', async () => {
    for (const headers of [{}, { authorization: 'Basic eDp5' }, { authorization: 'Bearer ' }, { authorization: 'Bearer a b' }]) {
      const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/peek`, { headers: Object.fromEntries(Object.entries(headers)) });
      expect([answer.status, answer.headers.get('www-authenticate'), await answer.json()]).toMatchObject([401, 'Bearer', { pointer: '/x-api-key', detail: expect.stringContaining('Authorization: Bearer') }]);
    }
  });
  it('are in no log and no audit entry', async () => {
    const [good, bad] = [await tokenOf({ note: 'canary' }), await tokenOf({ aud: 'canary' })];
    await Promise.all([call(good), call(bad), call(`${good}x`)]);
    for (const token of [good, bad]) for (const part of [token, token.split('.')[1] ?? '', token.split('.')[2] ?? '']) expect(`${logged.join('\n')}${JSON.stringify(audited)}`).not.toContain(part);
  });
});

describe('keys of the provider', () => {
  it('are asked for once where a kid is new, and not again for kids that nobody knows, however many come', async () => {
    const own = openRemoteKeySet(jwksUrl, { logger, cooldownMs: 0 });
    const authenticate = createAuthenticateToken({ keyOf: own.keyOf, issuer: ISSUER, audience: AUDIENCE, claims });
    await authenticate(await tokenOf());
    published = [first.open, second.open];
    expect((await authenticate(await tokenOf({}, { pair: second, header: { alg: 'ES256' } }))).id).toBe('user:5b1f');
    own.close();
    const before = asked;
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => tokenOf({}, { header: { kid: `stranger-${n}` } })));
    expect(new Set(await Promise.all(tokens.map(async (token) => (await call(token)).status)))).toEqual(new Set([401]));
    // Another algorithm than the key's is no new key either.
    expect((await call(await tokenOf({}, { pair: second, header: { alg: 'ES256', kid: 'first' } }))).status).toBe(401);
    expect(asked).toBe(before);
  });
  it('go on to count while the provider is away, and tokens of others are refused without asking it again', async () => {
    const away = openRemoteKeySet(jwksUrl, { logger, cooldownMs: 0 });
    const authenticate = createAuthenticateToken({ keyOf: away.keyOf, issuer: ISSUER, audience: AUDIENCE, claims });
    await authenticate(await tokenOf());
    isAway = true;
    await expect(authenticate(await tokenOf({}, { header: { kid: 'new' } }))).rejects.toMatchObject({ code: 'unauthenticated' });
    expect((await authenticate(await tokenOf({ jti: 'another' }))).id).toBe('user:5b1f');
    away.close();
    const never = openRemoteKeySet(jwksUrl, { logger, cooldownMs: COOLDOWN_MS });
    const refuse = createAuthenticateToken({ keyOf: never.keyOf, issuer: ISSUER, audience: AUDIENCE, claims });
    await expect(refuse(await tokenOf())).rejects.toMatchObject({ code: 'unavailable' });
    const before = asked;
    const failures = await Promise.allSettled(Array.from({ length: 20 }, async (_, n) => refuse(await tokenOf({}, { header: { kid: `k${n}` } }))));
    expect([new Set(failures.map(({ status }) => status)), asked - before]).toEqual([new Set(['rejected']), 0]);
    never.close();
    isAway = false;
  });
});

describe('variables of tokens', () => {
  const rest = { INTERNAL_JWKS_FILE: 'a', INTERNAL_KEY_FILE: 'b', GATEWAY_DATABASE_URL: 'postgres://x/y' };
  const all = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, JWT_JWKS_URL: 'https://login.example/jwks' };
  const wrong = (env: Record<string, string>): readonly string[] => configSchema.safeParse({ ...rest, ...env }).error?.issues.map(({ path }) => path.join('.')) ?? [];
  it.each([
    ['all of them', all, []], ['none of them', {}, []], ['a file', { ...all, JWT_JWKS_URL: undefined, JWT_JWKS_FILE: 'jwks.json' }, []],
    ['no audience', { ...all, JWT_AUDIENCE: undefined }, ['JWT_AUDIENCE']], ['no keys', { ...all, JWT_JWKS_URL: undefined }, ['JWT_JWKS_URL']], ['two sources of keys', { ...all, JWT_JWKS_FILE: 'x' }, ['JWT_JWKS_URL']],
    ['keys over plain HTTP in production', { ...all, NODE_ENV: 'production', JWT_JWKS_URL: 'http://login.example/jwks' }, ['JWT_JWKS_URL']], ['the issuer of tokens that gateways hand on', { ...all, JWT_ISSUER: 'gateway' }, ['JWT_ISSUER']], ['only keys', { JWT_JWKS_URL: all.JWT_JWKS_URL }, ['JWT_ISSUER', 'JWT_AUDIENCE']],
  ])('with %s', (_what, env, expected) => expect(wrong(Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))))).toEqual(expected));
});
