import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import type { AuditEntry } from '../src/audit.repository.ts';
import { RECORDED_REFUSALS } from '../src/audited-refusals.ts';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';
import { security } from '../src/security.ts';

const operation = (over: Partial<Operation>): Operation => ({ operationId: 'op', method: 'get', path: '/api/things/{sku}', service: 'svc', scope: 'products:read', summary: '', responses: {}, ...over });
const operations = [
  operation({}),
  operation({ operationId: 'write', method: 'post', path: '/api/things', scope: 'products:write', audited: true }),
  operation({ operationId: 'forget', method: 'delete', path: '/api/people/{id}', scope: 'users:erase', audited: true, isPersonal: true }),
  operation({ operationId: 'slow', path: '/api/slow', timeoutMs: 50 }),
  operation({ operationId: 'upload', method: 'post', path: '/api/upload', scope: 'products:write', streams: ['application/x-ndjson'] }),
  operation({ operationId: 'replay', method: 'post', path: '/api/letters/replay' }),
  operation({ operationId: 'editLetter', method: 'patch', path: '/api/letters/{id}', params: z.strictObject({ id: z.uuid() }) }),
  operation({ operationId: 'import', method: 'post', path: '/api/things/import' }),
  operation({ operationId: 'signed', method: 'post', path: '/api/signed', scope: 'pos:write', isSigned: true }),
  operation({ operationId: 'down', path: '/api/down', service: 'down' }),
  operation({ operationId: 'hasty', method: 'post', path: '/api/hasty', scope: 'products:write', service: 'hasty' }),
];
const keys = { reader: createApiKey(), writer: createApiKey(), development: createApiKey(), flood: createApiKey() };
const owners = new Map([
  [hashApiKey(keys.reader), { id: 'key_reader', scopes: ['products:read'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
  [hashApiKey(keys.writer), { id: 'key_writer', scopes: ['products:read', 'products:write', 'users:erase'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
  [hashApiKey(keys.flood), { id: 'key_flood', scopes: ['products:write'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
  [hashApiKey(keys.development), { id: 'key_dev', scopes: ['products:read'], isDevelopment: true, workspaceId: 'default', kind: 'secret' as const }],
]);
const seen: { url: string; headers: IncomingMessage['headers']; body: string }[] = [];
const audited: AuditEntry[] = [];
let service: Server;
let gateway: HttpServer;
let lookups = 0;
let uploads = 0;
let upstreams: Readonly<Record<'svc' | 'down' | 'hasty', Upstream>>;

beforeAll(async () => {
  service = createServer((req, res) => {
    if (req.url === '/api/upload') uploads += 1;
    if (req.url === '/api/slow' || req.url === '/api/upload') return;
    let body = '';
    req.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    req.on('end', () => {
      seen.push({ url: req.url ?? '', headers: req.headers, body });
      res.writeHead(200, { 'content-type': 'application/json', etag: '"1.1"', 'x-secret': 'inside' }).end('{"ok":true}');
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  upstreams = { svc: createUpstream('svc', url), hasty: createUpstream('hasty', url, { bodyTimeoutMs: 100 }), down: createUpstream('down', 'http://127.0.0.1:1') };

  const authenticate = createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => { lookups += 1; return owners.get(hash); } });
  const logger = createLogger('test', 'silent');
  const routes = routeTable({ operations, upstreams, local: {}, authenticate, logger, signer: { sign: async (audience, caller) => `${audience}:${caller.subject}` }, audit: async (entry) => void audited.push(entry) });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [...security(['https://shop.example']), routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await gateway.close(0);
  service.closeAllConnections();
  service.close();
});

const call = (path: string, init: RequestInit & { key?: string } = {}) =>
  fetch(`http://127.0.0.1:${gateway.port}${path}`, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), ...(init.key !== undefined && { 'x-api-key': init.key }) } });

describe('the route table', () => {
  it.each([
    ['without a declared scope', { scope: undefined }],
    ['with an unknown scope', { scope: 'everything' }],
    ['to an unknown service', { service: 'nowhere' }],
    ['that the gateway should answer itself and does not', { service: 'gateway' }],
  ])('fails at boot for a route %s', (_what, over) => {
    const broken = Object.assign(operation({}), over);
    const deps = { upstreams: { svc: createUpstream('svc', 'http://127.0.0.1:1') }, authenticate: async () => ({ id: '', scopes: [], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }), signer: { sign: async () => '' }, local: {}, audit: async () => undefined, logger: createLogger('test', 'silent') };
    expect(() => routeTable({ ...deps, operations: [broken] })).toThrow(/\/api\/things/);
  });
  it('keeps what it answers out of the caches on its way, which know nothing of keys', async () => {
    const answers = [await call('/api/things/MR-1', { key: keys.reader }), await call('/api/things', { key: keys.reader, method: 'POST' }), await call('/api/things/MR-1')];
    expect(answers.map(({ status, headers }) => [status, headers.get('cache-control')])).toEqual([[200, 'private, no-cache'], [403, 'private, no-cache'], [401, 'private, no-cache']]);
  });
  it('tells how many requests are on their way to a service', async () => {
    const leaving = new AbortController();
    const upload = call('/api/upload', { key: keys.writer, method: 'POST', body: '{}', headers: { 'content-type': 'application/x-ndjson' }, signal: leaving.signal }).catch(() => undefined);
    const streams = (): unknown => upstreams.svc.load?.().find(({ pool }) => pool === 'streams');
    await eventually(() => isDeepStrictEqual(streams(), { pool: 'streams', running: 1, waiting: 0 }));
    leaving.abort();
    await upload;
    await eventually(() => isDeepStrictEqual(streams(), { pool: 'streams', running: 0, waiting: 0 }));
    uploads = 0;
  });
  it('passes a call on under a signed identity, without the key, and its answer back', async () => {
    const answer = await call('/api/things/a%2Fb%20c?x=1', { key: keys.reader, headers: { cookie: 'private', 'x-user-id': 'customer-81' } });
    expect([answer.status, await answer.json(), answer.headers.get('etag'), answer.headers.get('x-secret')]).toEqual([200, { ok: true }, '"1.1"', null]);
    const last = seen.at(-1);
    expect(last).toMatchObject({ url: '/api/things/a%2Fb%20c?x=1', headers: { 'x-user-id': 'customer-81', authorization: 'Bearer svc:key_reader', traceparent: expect.stringMatching(/^00-/), 'x-request-id': answer.headers.get('x-request-id') } });
    expect(last?.headers).not.toHaveProperty('x-api-key');
    expect(last?.headers).not.toHaveProperty('cookie');
  });
  it.each([[undefined, 401], ['mr_unknown_unknown_unknown', 401], ['rubbish', 401]])('refuses the key %p with %d', async (key, status) => {
    const answer = await call('/api/things/a', key === undefined ? {} : { key });
    expect([answer.status, await answer.json()]).toMatchObject([status, { code: 'unauthenticated' }]);
  });
  it('lets a signed body in without a key, byte for byte and with its signature, and no other call', async () => {
    const body = '{ "Id" : "1" }';
    expect((await call('/api/signed', { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-hub-signature': 'sha256=00' } })).status).toBe(200);
    expect(seen.at(-1)).toMatchObject({ body, headers: { 'x-hub-signature': 'sha256=00', authorization: 'Bearer svc:signed:signed' } });
    await call('/api/things', { method: 'POST', key: keys.writer, body, headers: { 'content-type': 'application/json', 'x-hub-signature': 'sha256=00' } });
    expect(seen.at(-1)?.headers).not.toHaveProperty('x-hub-signature');
    expect((await call('/api/things', { method: 'POST', body, headers: { 'x-hub-signature': 'sha256=00' } })).status).toBe(401);
  });
  it('refuses a development key under NODE_ENV=production', async () => {
    expect((await call('/api/things/a', { key: keys.development })).status).toBe(401);
  });
  it('asks the database once for many calls with one key', async () => {
    await call('/api/things/a', { key: keys.reader });
    const before = lookups;
    await Promise.all(Array.from({ length: 10 }, () => call('/api/things/a', { key: keys.reader })));
    expect(lookups).toBe(before);
  });
  it('refuses a key without the scope, and audits the attempt', async () => {
    const answer = await call('/api/things', { key: keys.reader, method: 'POST' });
    expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'forbidden' }]);
    await eventually(() => audited.some((entry) => entry.keyId === 'key_reader' && entry.status === 403));
  });
  it('audits so many refusals of a key in a minute and no more, and all that was let in', async () => {
    const refusals = () => audited.filter(({ keyId, status }) => keyId === 'key_flood' && status === 403).length;
    const refused = Array.from({ length: RECORDED_REFUSALS + 20 }, () => call('/api/people/x', { key: keys.flood, method: 'DELETE' }));
    expect(new Set((await Promise.all(refused)).map(({ status }) => status))).toEqual(new Set([403]));
    const { headers } = await call('/api/things', { key: keys.flood, method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    await eventually(() => audited.some(({ requestId, status }) => requestId === headers.get('x-request-id') && status === 200));
    expect(refusals()).toBe(RECORDED_REFUSALS);
  });
  it('audits a privileged call with its outcome', async () => {
    const answer = await call('/api/things', { key: keys.writer, method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } });
    expect(seen.at(-1)?.body).toBe('{"a":1}');
    await eventually(() => audited.some((entry) => entry.requestId === answer.headers.get('x-request-id') && entry.status === 200 && entry.operation === 'write'));
  });
  it('audits a call about a shopper without naming the shopper', async () => {
    const answer = await call('/api/people/somebody%40home', { key: keys.writer, method: 'DELETE' });
    expect(seen.at(-1)?.url).toBe('/api/people/somebody%40home');
    await eventually(() => audited.some(({ requestId, path }) => requestId === answer.headers.get('x-request-id') && path === '/api/people/{id}'));
    expect(JSON.stringify(audited)).not.toContain('somebody');
  });
  it('refuses a body that grows too large while it comes, and lets no service wait for it', async () => {
    const before = seen.length;
    const endless = Readable.toWeb(Readable.from((function* () { for (let n = 0; n < 200; n += 1) yield Buffer.alloc(10_000, 32); })()));
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/things`, { method: 'POST', body: endless as ReadableStream<Uint8Array>, duplex: 'half', headers: { 'x-api-key': keys.writer, 'content-type': 'application/json' } });
    expect(answer.status).toBe(413);
    expect(seen.length).toBe(before);
  });
  it('gives up on a body that does not arrive, and lets no service wait for it', async () => {
    const before = seen.length;
    const request = httpRequest(`http://127.0.0.1:${gateway.port}/api/hasty`, { method: 'POST', headers: { 'x-api-key': keys.writer, 'content-type': 'application/json' } });
    request.on('error', () => undefined).write('{"name":');
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    expect([answer.statusCode, answer.headers.connection, JSON.parse((await answer.toArray()).join(''))]).toMatchObject([408, 'close', { code: 'request_timeout' }]);
    expect(seen.length).toBe(before);
    request.destroy();
  });
  it('refuses a body that is too large before any service sees it', async () => {
    const before = seen.length;
    expect((await call('/api/things', { key: keys.writer, method: 'POST', body: 'x'.repeat(1_100_000) })).status).toBe(413);
    expect(seen).toHaveLength(before);
  });
  it('answers 502 for a service that is down and 504 for one that is silent', async () => {
    expect([(await call('/api/down', { key: keys.reader })).status, (await call('/api/slow', { key: keys.reader })).status]).toEqual([502, 504]);
  });
  it('runs 16 uploads at once and asks others to come later, without keeping anybody else waiting', async () => {
    const sending = Array.from({ length: 16 }, () => {
      const request = httpRequest(`http://127.0.0.1:${gateway.port}/api/upload`, { method: 'POST', headers: { 'x-api-key': keys.writer, 'content-type': 'application/x-ndjson' } });
      request.on('error', () => undefined).write('{}\n');
      return request;
    });
    await eventually(() => uploads === 16);
    const one = await call('/api/upload', { method: 'POST', key: keys.writer, body: '{}', headers: { 'content-type': 'application/x-ndjson' } });
    expect([one.status, one.headers.get('retry-after')]).toEqual([503, '10']);
    expect((await call('/api/things/a', { key: keys.reader })).status).toBe(200);
    for (const request of sending) request.destroy();
  });
  it('answers 405 with the methods that are possible, 404 elsewhere', async () => {
    const wrong = await call('/api/things/a', { key: keys.reader, method: 'DELETE' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET']);
    expect((await call('/internal/products/export', { key: keys.reader })).status).toBe(404);
    expect((await call('/metrics', { key: keys.reader })).status).toBe(404);
  });
  it('knows a path from the ids that stand in its place, by what an id may be', async () => {
    const [none, thing] = [await call('/api/letters/replay', { key: keys.reader, method: 'PATCH' }), await call('/api/things/import', { key: keys.reader })];
    expect([none.status, none.headers.get('allow'), thing.status]).toEqual([405, 'POST', 200]);
    expect((await call('/api/things/import', { key: keys.reader, method: 'PUT' })).headers.get('allow')).toBe('POST, GET');
  });
  it('lets only listed origins in', async () => {
    const allowed = await call('/api/things/a', { key: keys.reader, headers: { origin: 'https://shop.example' } });
    const other = await call('/api/things/a', { key: keys.reader, headers: { origin: 'https://evil.example' } });
    expect([allowed.headers.get('access-control-allow-origin'), other.headers.get('access-control-allow-origin')]).toEqual(['https://shop.example', null]);
  });
  it('sends security headers', async () => {
    const { headers } = await call('/api/things/a', { key: keys.reader });
    expect([headers.get('x-content-type-options'), headers.get('x-powered-by'), headers.has('content-security-policy')]).toEqual(['nosniff', null, true]);
  });
});
