import { IncomingMessage, createServer } from 'node:http';
import { Socket } from 'node:net';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually } from '@millrace/testing';
import type { AuditEntry } from '../src/audit.repository.ts';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { createFront } from '../src/front.ts';
import type { Policy } from '../src/policy.ts';
import { createUpstream } from '../src/proxy.ts';
import { serveOperations, toRouter } from '../src/route-table.ts';
import { security } from '../src/security.ts';

const operation = (over: Partial<Operation>): Operation => ({ operationId: 'op', method: 'get', path: '/api/things/{sku}', service: 'svc', scope: 'products:read', summary: '', responses: {}, ...over });
const operations = [
  operation({}), operation({ operationId: 'list', path: '/api/things' }), operation({ operationId: 'write', method: 'post', path: '/api/things', scope: 'products:write' }), operation({ operationId: 'down', path: '/api/down', service: 'down' }),
  operation({ operationId: 'audited', path: '/api/audited/{id}', audited: true }), operation({ operationId: 'secret', path: '/api/secret', scope: 'ops' }), operation({ operationId: 'broken', path: '/api/broken' }), operation({ operationId: 'limited', path: '/api/limited' }),
  operation({ operationId: 'send', method: 'post', path: '/api/sent/{id}', audited: true, scope: 'products:write' }), operation({ operationId: 'upload', method: 'post', path: '/api/upload', scope: 'products:write', streams: ['text/csv'] }),
  operation({ operationId: 'long', path: '/api/long' }), operation({ operationId: 'none', path: '/api/none' }),
];
const key = createApiKey();
const audited: AuditEntry[] = [];

/** Looks at what policies look at, and refuses as they do. */
const policy: Policy = ({ operationId }, answer) => async (call) => {
  const { req, res } = call;
  if (operationId === 'broken') throw new Error('secret stack');
  if (operationId === 'limited') {
    res.setHeader('RateLimit', '"reads";r=0;t=1');
    throw new AppError('rate_limited', 'used up', { headers: { 'Retry-After': '1' } });
  }
  const found = await answer(call);
  return found && { ...found, headers: { ...found.headers, 'x-seen': JSON.stringify([req.params, req.query, req.originalUrl, req.path, req.get('x-user-id'), req.ip]) } };
};

let service: Server;
let [fronted, plain]: [HttpServer?, HttpServer?] = [];
const [frontedMetrics, plainMetrics] = [createMetrics('test'), createMetrics('test')];

beforeAll(async () => {
  service = createServer((req, res) => {
    if (req.method === 'POST') void text(req).then((sent) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sent, type: req.headers['content-type'] })));
    else if (req.url === '/api/none') res.writeHead(204).end();
    else if (req.url === '/api/long') res.writeHead(200, { 'content-type': 'text/plain' }).end('đèn'.repeat(500_000));
    else {
      const body = JSON.stringify({ name: 'đèn 😀', id: req.headers['x-request-id'] === 'given', traced: req.headers['traceparent'] !== undefined });
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), etag: '"1.1"' }).end(body);
    }
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  const upstreams = { svc: createUpstream('svc', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`), down: createUpstream('down', 'http://127.0.0.1:1') };
  const owner = { id: 'key', scopes: ['products:read', 'products:write'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const };
  const authenticate = createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => (hash === hashApiKey(key) ? owner : undefined) });
  const logger = createLogger('test', 'silent');
  const served = serveOperations({ operations, upstreams, local: {}, policies: [policy], authenticate, logger, signer: { sign: async () => 'token' }, audit: async (entry) => void audited.push(entry) });
  const guards = security(['https://shop.example']);
  const handlers = [...guards, toRouter(served)];
  fronted = await startHttpServer(createHttpApp({ logger, metrics: frontedMetrics, handlers, front: createFront(served, guards) }), { host: '127.0.0.1', port: 0 });
  plain = await startHttpServer(createHttpApp({ logger, metrics: plainMetrics, handlers }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await Promise.all([fronted?.close(0), plain?.close(0)]);
  service.closeAllConnections();
  service.close();
});

interface Sent { readonly path: string; readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly withoutKey?: boolean; readonly body?: string }
async function send(server: HttpServer | undefined, { path, method = 'GET', headers = {}, withoutKey = false, body }: Sent) {
  const answer = await fetch(`http://127.0.0.1:${server?.port ?? 0}${path}`, { method, headers: { ...(!withoutKey && { 'x-api-key': key }), ...headers }, ...(body !== undefined && { body }) });
  const given = Object.fromEntries([...answer.headers].filter(([name]) => name !== 'date' && name !== 'x-request-id'));
  return { status: answer.status, headers: given, body: (await answer.text()).replace(answer.headers.get('x-request-id') ?? 'none', 'ID'), hasId: answer.headers.has('x-request-id') };
}

/** Calls by method, route and status. */
const counted = async (metrics: typeof plainMetrics): Promise<string[]> => [...(await metrics.metrics()).matchAll(/^http_request_duration_seconds_count\{(.*)\} (\d+)$/gm)].map(([, labels, count]) => `${labels ?? ''} ${count ?? ''}`).toSorted();

const requests: readonly (Sent & { readonly name: string })[] = [
  { name: 'a plain read', path: '/api/things/MR-1' },
  { name: 'a read with a query and a user', path: '/api/things/%C4%91?limit=2&a=b&a=c', headers: { 'x-user-id': 'u', 'x-request-id': 'given', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } },
  { name: 'ids of a wrong form', path: '/api/things', headers: { 'x-request-id': 'a b', traceparent: 'x' } },
  { name: 'a trailing slash', path: '/api/things/' },
  { name: 'a malformed path', path: '/api/things/%ff' },
  { name: 'HEAD', path: '/api/things/MR-1', method: 'HEAD' },
  { name: 'a known origin', path: '/api/things/MR-1', headers: { origin: 'https://shop.example' } },
  { name: 'a strange origin', path: '/api/things/MR-1', headers: { origin: 'https://evil.example' } },
  { name: 'a preflight', path: '/api/things/MR-1', method: 'OPTIONS', headers: { origin: 'https://shop.example', 'access-control-request-method': 'GET' } },
  { name: 'no key', path: '/api/things/MR-1', withoutKey: true },
  { name: 'a key that nobody knows', path: '/api/things/MR-1', headers: { 'x-api-key': createApiKey() } },
  { name: 'a scope that the key lacks', path: '/api/secret' },
  { name: 'a service that is away', path: '/api/down' },
  { name: 'a refusal by a policy', path: '/api/limited' },
  { name: 'a bug', path: '/api/broken' },
  { name: 'an audited read', path: '/api/audited/7' },
  { name: 'an answer without a body', path: '/api/none' },
  { name: 'a long answer of unknown length', path: '/api/long' },
  { name: 'an unknown path', path: '/api/nothing/here' },
  { name: 'a write', path: '/api/things', method: 'POST', body: '{"name":"đèn"}', headers: { 'content-type': 'application/json' } },
  { name: 'a write without a body', path: '/api/things', method: 'POST' },
  { name: 'a write without a key', path: '/api/things', method: 'POST', body: '{}', withoutKey: true },
  { name: 'a write of a page', path: '/api/things', method: 'POST', body: '{}', headers: { origin: 'https://shop.example' } },
  { name: 'an audited write with a query', path: '/api/sent/7?a=b', method: 'POST', body: '{}' },
  { name: 'a write that is too long', path: '/api/sent/8', method: 'POST', body: 'x'.repeat(1_048_577) },
  { name: 'an upload', path: '/api/upload', method: 'POST', body: 'a,b', headers: { 'content-type': 'text/csv' } },
  { name: 'a write to a path that takes none', path: '/api/long', method: 'POST', body: '{}' },
  { name: 'another method', path: '/api/things/MR-1', method: 'DELETE' },
];

describe('the front of the gateway', () => {
  it.each(requests)('answers $name as express does, byte by byte', async (request) => {
    const expected = await send(plain, request);
    expect(await send(fronted, request)).toEqual(expected);
    expect(expected.hasId).toBe(true);
  });
  it('counts every call under the same route as express does, and audits the same', async () => {
    // An answer is counted when it has left.
    await eventually(async () => (await counted(frontedMetrics)).join('\n') === (await counted(plainMetrics)).join('\n'));
    expect((await counted(plainMetrics)).length).toBeGreaterThan(10);
    const written = [[200, '/api/audited/7'], [200, '/api/sent/7'], [413, '/api/sent/8']];
    expect(audited.map(({ status, path }) => [status, path])).toEqual(written.flatMap((one) => [one, one]));
  });
  it('answers the plain ones itself: reads and writes of services', () => {
    const front = createFront(operations.map((one) => ({ operation: one, handle: async () => undefined })), []);
    const finds = (method: string, url: string, headers: Readonly<Record<string, string>> = {}): boolean => front.find(Object.assign(new IncomingMessage(new Socket()), { method, url, headers })) !== undefined;
    expect([finds('GET', '/api/things/MR-1'), finds('POST', '/api/things', { 'content-length': '2' }), finds('POST', '/api/sent/7')]).toEqual([true, true, true]);
    expect([finds('GET', '/api/things', { 'content-length': '2' }), finds('POST', '/api/things', { origin: 'https://shop.example' }), finds('POST', '/api/things', { 'transfer-encoding': 'chunked' }), finds('POST', '/api/upload'), finds('PUT', '/api/things')]).toEqual([false, false, false, false, false]);
  });
  it('does not start where a handler of security headers answers by itself', () => {
    expect(() => createFront([], [(_req, res) => void res.end()])).toThrow(/headers only/);
  });
});
