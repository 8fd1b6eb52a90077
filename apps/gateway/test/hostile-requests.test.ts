import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createSession, operations } from '@millrace/contracts';
import { createHttpApp, ok, setIdentity, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { localRoute } from '../src/local-route.ts';
import { useGuardedGateway } from './guarded-gateway.ts';
import type { GuardedGateway } from './guarded-gateway.ts';

let gateway: GuardedGateway;
let key = '';
useGuardedGateway((fresh) => ({ gateway, key } = fresh));

const get = (path: string, headers: Record<string, string> = {}) => gateway.raw(['GET ' + path + ' HTTP/1.1', 'Host: x', `X-Api-Key: ${key}`, 'Connection: close', ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'));
const statusOf = ({ text }: { readonly text: string }): number => Number(text.split(' ', 2)[1]);

/** All that a service may hear of a caller. */
const HEARD = ['accept', 'authorization', 'connection', 'content-encoding', 'content-length', 'content-type', 'host', 'idempotency-key', 'if-match', 'if-none-match', 'last-event-id', 'traceparent', 'x-request-id', 'x-user-id'];
const FORGED = {
  Authorization: 'Basic forged', 'X-Forwarded-For': '127.0.0.1', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https', Forwarded: 'for=127.0.0.1;host=evil.example', 'X-Real-IP': '127.0.0.1', 'True-Client-IP': '127.0.0.1',
  'X-Internal-Subject': 'key_root', 'X-Internal-Scopes': 'admin', 'X-Workspace-Id': 'other', 'X-Scopes': 'admin', 'X-Original-URL': '/internal', 'X-Rewrite-URL': '/internal', 'X-HTTP-Method-Override': 'DELETE', Cookie: 'session=forged', TE: 'trailers', Via: '1.1 evil',
  'Proxy-Authorization': 'Basic eA==', tracestate: 'evil=1', baggage: 'user=root', Range: 'bytes=0-1', Expect: 'x', 'X-Amzn-Trace-Id': 'evil', Origin: 'https://evil.example', Referer: 'https://evil.example',
};

describe('headers of a caller', () => {
  it('reach a service only where it needs them: forged identities, addresses, hosts and methods do not', async () => {
    const passed = await Promise.all(operations.filter(({ service, method }) => service !== 'gateway' && method === 'get').map(({ path }) => get(path.replaceAll(/\{\w+\}/g, '1'), { ...FORGED, Expect: '100-continue' })));
    expect(new Set(passed.map(({ text }) => /HTTP\/1\.1 200/.test(text)))).toEqual(new Set([true]));
    expect([...new Set(gateway.reached.flatMap(({ headers }) => Object.keys(headers)))].filter((name) => !HEARD.includes(name))).toEqual([]);
    expect(gateway.reached.filter(({ headers }) => !/^[\w-]+:key_\d+:/.test(String(headers.authorization).replace('Bearer ', '')))).toEqual([]);
    expect(JSON.stringify(gateway.reached)).not.toMatch(/evil|forged|root|127\.0\.0\.1"/);
  });
  it('cannot name the user of a publishable key: X-User-Id is for servers', async () => {
    const page = { method: 'POST', body: '{}', headers: { 'x-api-key': gateway.publishableKey(), origin: 'https://shop.example', 'content-type': 'application/json', 'x-user-id': 'victim' } };
    expect((await fetch(`http://127.0.0.1:${gateway.port}/api/event`, page)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${gateway.port}/api/event`, { ...page, headers: { 'x-api-key': key, 'content-type': 'application/json', 'x-user-id': 'customer-81' } })).status).toBe(200);
    expect(gateway.reached.map(({ headers }) => headers['x-user-id'])).toEqual([undefined, 'customer-81']);
  });
  it.each([['a line break, encoded', 'a%0d%0aSet-Cookie:%20x=1'], ['markup', '<script>alert(1)</script>'], ['too much', 'a'.repeat(500)], ['JSON', '{"a":1}'], ['quotes', 'a" onload="x']])('are not answered back: X-Request-Id with %s', async (_what, id) => {
    const { text } = await get('/api/products/1', { 'X-Request-Id': id, traceparent: id });
    expect([statusOf({ text }), text.includes(id), gateway.reached[0]?.headers['x-request-id']]).toEqual([200, false, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });
});

describe('paths and parameters', () => {
  const climbing = ['..%2f..%2finternal%2fproducts%2fexport', '%2e%2e%2f%2e%2e%2fadmin%2fkeys', '%252e%252e%252f', '..%5c..%5cadmin', '....%2f%2f', '%c0%ae%c0%ae%c0%af', '..%00%2f', '%2e%2e'];
  it.each(climbing)('go to the operation that was let in and no other: /api/products/%s', async (sku) => {
    const answer = await get(`/api/products/${sku}`);
    // As it was sent, for the service to refuse as a sku: the scope was checked for that very path.
    expect([400, 200]).toContain(statusOf(answer));
    for (const { url } of gateway.reached) expect(url).toBe(`/api/products/${sku}`);
  });
  it.each(['/api/products/../admin/keys', '/api/../internal/products/export', '/api/products/a/../../admin/sync', '/./api/admin/keys', '//internal/products/export', '/api/products/a/similar/../../../internal', '/internal/products/export', '/metrics', '/healthz'])('are not normalised into another route: %s', async (path) => {
    const small = gateway.key({ scopes: ['products:read', 'search:read'] });
    const { text } = await gateway.raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${small}\r\nConnection: close\r\n\r\n`);
    expect([400, 404, 405]).toContain(statusOf({ text }));
    expect(gateway.reached).toEqual([]);
  });
  it('do not become objects or lists by brackets, nor prototypes', async () => {
    for (const query of ['__proto__[polluted]=1', 'constructor[prototype][polluted]=1', '__proto__.polluted=1', 'a[b][c]=1', '%5F%5Fproto%5F%5F=1']) {
      await get(`/api/search?q=x&${query}`);
      await get(`/api/admin/keys?${query}`);
    }
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    expect(gateway.reached.every(({ url }) => url.startsWith('/api/search?q=x&'))).toBe(true);
  });
  it('are answered in time and without an echo of markup, however long and odd they are', async () => {
    for (const text of ['a'.repeat(15_000), '%'.repeat(5_000), '%25'.repeat(3_000), '&='.repeat(7_000), '%F0%9F%98%80'.repeat(1_000)]) {
      const answer = await get(`/api/nowhere/${text}?${text}`);
      expect([400, 404, 431]).toContain(statusOf(answer));
    }
    const { text } = await get('/api/%3Cscript%3Ealert(1)%3C/script%3E');
    expect([statusOf({ text }), /content-type: application\/problem\+json/i.test(text), /x-content-type-options: nosniff/i.test(text)]).toEqual([404, true, true]);
  });
});

describe('bodies of operations that the gateway reads itself', () => {
  let server: HttpServer;
  const taken: unknown[] = [];
  beforeAll(async () => {
    const routes = localRoute({ ...createSession, path: '/own' }, async ({ body }) => {
      taken.push(body);
      return ok({});
    });
    const asGateway = (req: Parameters<typeof setIdentity>[0], _res: unknown, next: () => void): void => {
      setIdentity(req, { issuer: 'gateway', subject: 'key_1', scopes: ['sessions'] });
      next();
    };
    const logger = createLogger('test', 'silent');
    server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [asGateway, ...Object.values(routes)] }), { host: '127.0.0.1', port: 0 });
  });
  afterAll(() => server.close(0));
  beforeEach(() => void taken.splice(0));
  const send = async (body: string | Buffer, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/own`, { method: 'POST', body: typeof body === 'string' ? body : new Uint8Array(body), headers: { 'content-type': 'application/json', 'x-user-id': 'u', ...headers } });
    return { status: answer.status, body: await answer.text() };
  };
  const bomb = gzipSync(Buffer.alloc(64 * 1_048_576, 32));
  it.each<[string, number, string | Buffer, Record<string, string>]>([
    ['a gzip bomb', 415, bomb, { 'content-encoding': 'gzip' }], ['two codings', 415, bomb, { 'content-encoding': 'gzip, gzip' }], ['an unknown coding', 415, '{}', { 'content-encoding': 'snappy' }], ['no gzip in gzip', 415, '{}', { 'content-encoding': 'gzip' }], ['no zstd in zstd', 415, '{}', { 'content-encoding': 'zstd' }],
    ['nesting without an end', 400, `{"plan":{"a":${'['.repeat(400_000)}${']'.repeat(400_000)}}}`, {}], ['objects in objects', 400, `{"plan":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, {}],
    ['a list instead of an object', 400, '[]', {}], ['text instead of JSON', 400, 'hello', {}], ['nothing', 400, '', {}], ['half of a surrogate pair outside of a text', 400, '\\ud800', {}], ['UTF-16', 400, Buffer.from('{}', 'utf16le'), {}],
    ['a form', 415, 'title=x', { 'content-type': 'application/x-www-form-urlencoded' }], ['a field that nobody knows', 400, '{"title":"x","is_admin":true}', {}], ['a number instead of a text', 400, '{"title":1e400}', {}],
    ['more than 1 MiB', 413, JSON.stringify({ title: 'x'.repeat(1_100_000) }), {}],
  ])('are refused: %s', async (_what, status, body, headers) => {
    const answer = await send(body, headers);
    expect([answer.status, answer.body.length < 4_000, taken]).toEqual([status, true, []]);
  });
  it('have the last of two equal names, as every reader behind has it', async () => {
    expect((await send('{"title":"first","title":"last"}')).status).toBe(200);
    expect(taken).toMatchObject([{ title: 'last' }]);
  });
  it.each(['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}'])('have no names of prototypes: %s', async (plan) => {
    expect((await send(`{"plan":${plan}}`)).status).toBe(400);
    expect([taken, Reflect.get({}, 'polluted')]).toEqual([[], undefined]);
  });
});

describe('secrets', () => {
  it('are in no log, metric, audit entry or error, wherever a caller puts them', async () => {
    const canaries = { key: gateway.key(), stranger: `mr_${'canary'.repeat(6)}`, jwt: `eyJhbGciOiJub25lIn0.${'canary'.repeat(6)}.c2lnbg`, password: 'canary-password', user: 'canary-user-8841', idempotency: 'canary-idempotency', isdn: '84908172635' };
    const answers: string[] = [];
    const headers = (own: string): Record<string, string> => ({ 'x-api-key': own, authorization: `Bearer ${canaries.jwt}`, cookie: `session=${canaries.jwt}`, 'x-user-id': canaries.user, 'idempotency-key': canaries.idempotency, 'content-type': 'application/json', referer: `https://user:${canaries.password}@evil.example/` });
    for (const { path, method } of operations.filter((_operation, place) => place % 4 === 0))
      for (const own of [canaries.key, canaries.stranger]) {
        const { authorization: _token, ...onlyKey } = headers(own);
        for (const sent of [headers(own), onlyKey]) {
          const place = `${path.replaceAll(/\{\w+\}/g, encodeURIComponent(canaries.isdn))}?key=${canaries.stranger}&password=${canaries.password}&user_id=${canaries.user}`;
          const answer = await fetch(`http://127.0.0.1:${gateway.port}${place}`, { method: method.toUpperCase(), headers: sent, ...(method !== 'get' && { body: `{"password":"${canaries.password}"}` }) });
          answers.push(`${[...answer.headers].join()} ${await answer.text()}`);
        }
      }
    const { isdn, ...secrets } = canaries;
    const seen = [...gateway.logged, await gateway.metrics(), ...answers];
    for (const secret of [...Object.values(secrets), isdn]) expect([secret, seen.filter((text) => text.includes(secret))]).toEqual([secret, []]);
    expect(gateway.audited.length).toBeGreaterThan(0);
    // The path stands in the audit log, but where it names a person.
    for (const secret of Object.values(secrets)) expect([secret, gateway.audited.filter((entry) => JSON.stringify(entry).includes(secret))]).toEqual([secret, []]);
    expect(JSON.stringify(gateway.reached.map(({ headers: heard }) => heard))).not.toContain(canaries.key);
  });
});
