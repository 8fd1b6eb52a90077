import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getKey, operations as everyOperation, roleNames } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createApiKey, createPublishableKey } from '@millrace/service';
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import type { CryptoKey, JWK, JWTHeaderParameters, JWTPayload } from 'jose';
import { Pool } from 'undici';
import { AUDIENCE, ISSUER, ORIGIN, startGuardedGateway } from './guarded-gateway.ts';
import type { GuardedGateway } from './guarded-gateway.ts';

/** An operation whose body is signed needs no key: its service checks the signature. */
const operations = everyOperation.filter(({ isSigned }) => isSigned !== true);

let gateway: GuardedGateway;
let pool: Pool;
let own: { readonly rsa: CryptoKey; readonly ec: CryptoKey; readonly open: JWK; readonly spki: string };
let stranger: { readonly key: CryptoKey; readonly open: JWK };

beforeAll(async () => {
  const [rsa, ec, other] = await Promise.all([generateKeyPair('RS256', { extractable: true }), generateKeyPair('ES256', { extractable: true }), generateKeyPair('RS256', { extractable: true })]);
  const open = { ...(await exportJWK(rsa.publicKey)), kid: 'first', alg: 'RS256', use: 'sig' };
  own = { rsa: rsa.privateKey, ec: ec.privateKey, open, spki: await exportSPKI(rsa.publicKey) };
  stranger = { key: other.privateKey, open: { ...(await exportJWK(other.publicKey)), kid: 'first', alg: 'RS256' } };
  gateway = await startGuardedGateway({ jwks: { keys: [open, { ...(await exportJWK(ec.publicKey)), kid: 'second', alg: 'ES256', use: 'sig' }] } });
  pool = new Pool(`http://127.0.0.1:${gateway.port}`, { connections: 16 });
});
afterAll(async () => {
  await pool.close();
  await gateway.close();
});

const peek = getKey;
/** For what express does alike for all of them. */
const some = process.env['TEST_SCALE'] === 'full' ? operations : operations.filter((_operation, place) => place % 5 === 0);
const path = (operation: Operation): string => operation.path.replaceAll(/\{\w+\}/g, '1');
interface Asked { readonly headers?: Readonly<Record<string, string>>; readonly query?: string; readonly path?: string; readonly method?: string }
async function ask(operation: Operation, { headers = {}, query = '', path: place = path(operation), method = operation.method.toUpperCase() }: Asked): Promise<{ status: number; type: string; body: string }> {
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const { statusCode, headers: given, body } = await pool.request({ method, path: `${place}${query}`, headers: { ...(hasBody && { 'content-type': 'application/json' }), ...headers }, body: hasBody ? '{}' : null });
  return { status: statusCode, type: String(given['content-type'] ?? ''), body: await body.text() };
}

const nowSeconds = Math.floor(Date.now() / 1_000);
const payload = (over: object = {}): JWTPayload => ({ iss: ISSUER, aud: AUDIENCE, sub: '5b1f', exp: nowSeconds + 600, roles: [...roleNames], ...over });
const signed = (over: object = {}, header: Partial<JWTHeaderParameters> = {}, key?: CryptoKey | Uint8Array): Promise<string> =>
  new SignJWT(payload(over)).setProtectedHeader({ alg: 'RS256', kid: 'first', typ: 'at+jwt', ...header }).sign(key ?? own.rsa);
const bearer = (token: string): Asked => ({ headers: { authorization: `Bearer ${token}` } });
const withKey = (key: string, more: Record<string, string> = {}): Asked => ({ headers: { 'x-api-key': key, ...more } });
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const forged = (header: object, signature: string): string => `${encode(header)}.${encode(payload())}.${signature}`;

type Make = (operation: Operation) => Asked | Promise<Asked>;
const keysRefused: readonly [string, number, Make][] = [
  ['no key', 401, () => ({})],
  ['an empty key', 401, () => withKey('')],
  ['a key that nobody has', 401, () => withKey(createApiKey())],
  ['a key cut short', 401, () => withKey(gateway.key().slice(0, -1))],
  ['two keys in one header', 401, () => withKey(`${gateway.key()}, ${gateway.key()}`)],
  ['an expired key', 401, () => withKey(gateway.key({ expiresAtMs: Date.now() - 1 }))],
  ['a development key in production', 401, () => withKey(gateway.key({ isDevelopment: true }))],
  ['a right key in a cookie', 401, () => ({ headers: { cookie: `x-api-key=${gateway.key()}` } })],
  ['a right key as a bearer token', 401, () => bearer(gateway.key())],
  ['a right key as a password', 401, () => ({ headers: { authorization: `Basic ${Buffer.from(`key:${gateway.key()}`).toString('base64')}` } })],
  ['a right key in the address', 401, () => ({ query: `?key=${gateway.key()}` })],
  ['a right key under other names in the address', 401, () => ({ query: `?api_key=${gateway.key()}&x-api-key=${gateway.key()}` })],
  ['a key with every scope but the one', 403, ({ scope }) => withKey(gateway.key({ scopes: operations.map((one) => one.scope).filter((one) => one !== scope) }))],
  ['a key with no scope', 403, () => withKey(gateway.key({ scopes: [] }))],
  ['a key with scopes that only look alike', 403, ({ scope }) => withKey(gateway.key({ scopes: [scope.toUpperCase(), `${scope} `, '*', `${scope}:x`] }))],
  ['a publishable key from a page of another origin', 403, () => withKey(gateway.publishableKey(), { origin: 'https://evil.example' })],
  ['a publishable key from no page', 403, () => withKey(gateway.publishableKey())],
  ['a publishable key from a sandbox', 403, () => withKey(gateway.publishableKey(), { origin: 'null' })],
  ['a publishable key that nobody has', 401, () => withKey(createPublishableKey(), { origin: ORIGIN })],
  ['headers that are the services\' own', 401, () => ({ headers: { 'x-internal-subject': 'key_1', 'x-internal-scopes': 'admin ops', 'x-user-id': '1', 'x-forwarded-user': 'root', 'x-original-url': '/readyz', 'x-rewrite-url': '/readyz' } })],
];

const tokensRefused: readonly [string, number, Make][] = [
  ['alg none', 401, () => bearer(new UnsecuredJWT(payload()).encode())],
  ['alg none and a kid', 401, () => bearer(forged({ alg: 'none', kid: 'first' }, ''))],
  ['alg NoNe and the signature of another token', 401, async () => bearer(forged({ alg: 'NoNe', kid: 'first' }, (await signed()).split('.')[2] ?? ''))],
  ['HS256 under the public key as PEM', 401, async () => bearer(await signed({}, { alg: 'HS256' }, Buffer.from(own.spki)))],
  ['HS256 under the public key as JWK', 401, async () => bearer(await signed({}, { alg: 'HS256' }, Buffer.from(JSON.stringify(own.open))))],
  ['HS256 under an empty secret', 401, () => bearer(forged({ alg: 'HS256', kid: 'first' }, 'x'))],
  ['an ECDSA signature of zeros', 401, () => bearer(forged({ alg: 'ES256', kid: 'second' }, Buffer.alloc(64).toString('base64url')))],
  ['the kid of another key of the issuer', 401, async () => bearer(await signed({}, { alg: 'ES256', kid: 'first' }, own.ec))],
  ['a right kid and the key of a stranger', 401, async () => bearer(await signed({}, {}, stranger.key))],
  ['its own key in its header', 401, async () => bearer(await signed({}, { jwk: stranger.open, kid: 'stranger' }, stranger.key))],
  ['an address of its own keys', 401, async () => bearer(await signed({}, { jku: 'https://evil.example/jwks', x5u: 'https://evil.example/x5u', kid: 'stranger' }, stranger.key))],
  ['a kid that is a path', 401, async () => bearer(await signed({}, { kid: '../../../../dev/null' }, stranger.key))],
  ['a kid that is SQL', 401, async () => bearer(await signed({}, { kid: "' union select 'x" }, stranger.key))],
  ['another audience', 401, async () => bearer(await signed({ aud: 'catalog-api' }))],
  ['no audience', 401, async () => bearer(await signed({ aud: undefined }))],
  ['another issuer', 401, async () => bearer(await signed({ iss: 'gateway' }))],
  ['an expiry that is past', 401, async () => bearer(await signed({ exp: nowSeconds - 60 }))],
  ['no expiry', 401, async () => bearer(await signed({ exp: undefined }))],
  ['a beginning to come', 401, async () => bearer(await signed({ nbf: nowSeconds + 300 }))],
  ['a type for something else', 401, async () => bearer(await signed({}, { typ: 'logout+jwt' }))],
  ['other claims under the same signature', 401, async () => {
    const [head = '', , signature = ''] = (await signed({ roles: ['viewer'] })).split('.');
    return bearer(`${head}.${encode(payload())}.${signature}`);
  }],
  ['five parts, as an encrypted one', 401, () => bearer('a.b.c.d.e')],
  ['no role', 403, async () => bearer(await signed({ roles: [] }))],
  ['roles that only look alike', 403, async () => bearer(await signed({ roles: ['admin', 'OPS', '__proto__', 'constructor', 'toString'], scope: operations.map(({ scope }) => scope).join(' '), scopes: operations.map(({ scope }) => scope) }))],
];

/** What every operation answered that is not the refusal that it should be, and nothing may have got through. */
async function refusals(wanted: number, make: Make): Promise<readonly string[]> {
  const before = gateway.reached.length + gateway.answeredHere.length;
  const same = make.length === 0 ? await make(peek) : undefined;
  const seen = await Promise.all(operations.map(async (operation) => {
    const { status, type, body } = await ask(operation, same ?? (await make(operation)));
    return status === wanted && type.startsWith('application/problem+json') ? [] : [`${operation.operationId}: ${status} ${body.slice(0, 100)}`];
  }));
  return [...seen.flat(), ...(gateway.reached.length + gateway.answeredHere.length === before ? [] : ['something behind the gateway was reached'])];
}

describe('every operation of the API', () => {
  it('is reached with a key that has its scope, so that what follows is no accident', async () => {
    const key = gateway.key();
    const before = gateway.reached.length + gateway.answeredHere.length;
    const answers = await Promise.all(operations.map(async (operation) => [operation.operationId, (await ask(operation, withKey(key))).status] as const));
    expect(answers.filter(([, status]) => status !== 200)).toEqual([]);
    expect(gateway.reached.length + gateway.answeredHere.length - before).toBe(operations.length);
    expect(new Set(gateway.answeredHere)).toEqual(new Set(operations.filter(({ service }) => service === 'gateway').map(({ operationId }) => operationId)));
  });
  it.each(keysRefused)('refuses %s with %d', async (_what, status, make) => expect(await refusals(status, make)).toEqual([]));
  it.each(tokensRefused)('refuses a token with %s with %d', async (_what, status, make) => expect(await refusals(status, make)).toEqual([]));
  it('takes the token of a person, but for what no role may do', async () => {
    const token = await signed();
    const answers = await Promise.all(operations.map(async (operation) => [operation.scope, (await ask(operation, bearer(token))).status] as const));
    expect(answers.filter(([scope, status]) => status !== (scope === 'users:erase' ? 403 : 200))).toEqual([]);
  });
  it('refuses a publishable key of a page, but for events', async () => {
    const key = gateway.publishableKey();
    const answers = await Promise.all(operations.map(async (operation) => [operation.isPublishable === true, (await ask(operation, withKey(key, { origin: ORIGIN }))).status] as const));
    expect(answers.filter(([isPublishable, status]) => status !== (isPublishable ? 200 : 403))).toEqual([]);
  });
  it.each([
    ['a slash at its end', (place: string) => `${place}/`], ['a doubled slash', (place: string) => place.replace('/', '//')], ['upper case', (place: string) => place.toUpperCase()],
    ['an encoded letter', (place: string) => place.replace(/[a-z]/, (letter) => `%${letter.codePointAt(0)?.toString(16)}`)], ['an encoded slash', (place: string) => `/x/..%2f${place.slice(1)}`],
    ['a way around', (place: string) => `/readyz/..${place}`], ['a twice encoded way around', (place: string) => `/readyz/%252e%252e${place}`], ['a backslash', (place: string) => `${place}\\..\\`],
    ['a parameter of the path', (place: string) => `${place};a=b`], ['a NUL', (place: string) => `${place}%00`],
  ])('has no way in without a key by %s', async (_what, change) => {
    const before = gateway.reached.length + gateway.answeredHere.length;
    const answers = await Promise.all(some.map(async (operation) => [operation.path, (await ask(operation, { path: change(path(operation)) })).status] as const));
    expect(answers.filter(([, status]) => ![400, 401, 404, 405].includes(status))).toEqual([]);
    expect(gateway.reached.length + gateway.answeredHere.length).toBe(before);
  });
  it.each(['HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'PUT', 'PATCH', 'DELETE', 'POST', 'GET'])('has no way in without a key by %s, nor by naming another method', async (method) => {
    const before = gateway.reached.length + gateway.answeredHere.length;
    const headers = { 'x-http-method-override': 'GET', 'x-http-method': 'GET', 'x-method-override': 'GET' };
    const answers = await Promise.all(some.map(async (operation) => [operation.path, (await ask(operation, { method, headers })).status] as const));
    expect(answers.filter(([, status]) => ![204, 401, 404, 405].includes(status))).toEqual([]);
    expect(gateway.reached.length + gateway.answeredHere.length).toBe(before);
  });
});
