import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { operations } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createApiKey, createLogger, createMetrics, createPublishableKey, hashApiKey, isApiKey } from '@millrace/service';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { browserCors, createKnownOrigins, publishablePaths } from '../src/browser-cors.ts';
import type { KeyOwner } from '../src/key.repository.ts';
import { createUpstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';
import { security } from '../src/security.ts';
import { trackerRoute } from '../src/tracker.routes.ts';

const SHOP = 'https://shop.example';
const OTHER = 'https://other.example';
const used = operations.filter(({ operationId }) => ['logEvent', 'logEvents', 'postImpressions', 'getUserContext', 'mergeUser', 'searchProducts'].includes(operationId));
const keys = { page: createPublishableKey(), other: createPublishableKey(), secret: createApiKey() };
const pageScopes = ['events:write', 'events:write:view'];
const owners = new Map<string, KeyOwner>([
  [hashApiKey(keys.page), { id: 'key_page', scopes: pageScopes, isDevelopment: false, workspaceId: 'default', kind: 'publishable' as const, origins: [SHOP, 'http://localhost:3000'] }],
  [hashApiKey(keys.other), { id: 'key_other', scopes: pageScopes, isDevelopment: false, workspaceId: 'default', kind: 'publishable' as const, origins: [OTHER] }],
  [hashApiKey(keys.secret), { id: 'key_secret', scopes: ['events:write', 'events:read', 'search:read'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
]);
const seen: { url: string | undefined; headers: IncomingMessage['headers']; body: string }[] = [];
const logged: string[] = [];
const metrics = createMetrics('test');
let service: Server;
let gateway: HttpServer;

beforeAll(async () => {
  service = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    req.on('end', () => {
      seen.push({ url: req.url, headers: req.headers, body });
      res.writeHead(req.headers['x-request-id'] === 'fail' ? 503 : 200, { 'content-type': 'application/json' }).end('{"ok":true}');
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  const upstream = createUpstream('svc', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
  const routes = routeTable({
    operations: used, upstreams: { 'event-ingest': upstream, recommender: upstream, 'catalog-api': upstream }, local: {}, logger,
    authenticate: createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => owners.get(hash) }),
    signer: { sign: async (_audience, { subject, scopes }) => `${subject} ${scopes.join(',')}` },
    audit: async () => undefined,
  });
  const origins = createKnownOrigins(async () => new Set([SHOP, OTHER, 'http://localhost:3000']), logger);
  gateway = await startHttpServer(createHttpApp({ logger, metrics, handlers: [browserCors(publishablePaths(used), origins), ...security([]), trackerRoute(), routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await gateway.close(0);
  service.closeAllConnections();
  service.close();
});
beforeEach(() => void seen.splice(0));

const send = (path: string, headers: Record<string, string>, { method = 'POST', body = '[{"a":1}]' } = {}) =>
  fetch(`http://127.0.0.1:${gateway.port}${path}`, { method, headers, ...(method === 'POST' && { body }) });
const plain = { 'content-type': 'text/plain;charset=UTF-8' };

describe('a publishable key', () => {
  it('looks like a key of its kind', () => {
    expect(keys.page).toMatch(/^mr_pub_[\w-]{43}$/);
    expect(isApiKey(keys.page)).toBe(true);
  });

  it.each([
    ['/api/event', 'in the header', { 'x-api-key': keys.page, 'content-type': 'application/json' }, ''],
    ['/api/events', 'in the address, the body as text', plain, `?key=${keys.page}`],
    ['/api/impressions', 'in the address, the body as text', plain, `?key=${keys.page}`],
    ['/api/events', 'in the address, among other parameters', plain, `?a=b&key=${keys.page}&c=d%20e`],
  ])('sends to %s from a page of its origin, %s, and the service gets JSON, its types and no key', async (path, _where, headers, query) => {
    const answer = await send(path + query, { ...headers, origin: SHOP });
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('access-control-allow-credentials')]).toEqual([200, SHOP, null]);
    expect(seen).toMatchObject([{ url: query.includes('a=b') ? `${path}?a=b&c=d+e` : path, body: '[{"a":1}]', headers: { 'content-type': 'application/json', authorization: `Bearer key_page ${pageScopes.join(',')}` } }]);
    expect(JSON.stringify(seen)).not.toContain(keys.page);
  });

  it.each([
    ['from another origin', { origin: OTHER }, 403, 'forbidden', '/origin'],
    ['from another scheme', { origin: 'http://shop.example' }, 403, 'forbidden', '/origin'],
    ['from another port', { origin: `${SHOP}:8443` }, 403, 'forbidden', '/origin'],
    ['from a name that only begins so', { origin: `${SHOP}.evil.example` }, 403, 'forbidden', '/origin'],
    ['from a file or a sandbox', { origin: 'null' }, 403, 'forbidden', '/origin'],
    ['without Origin', {}, 403, 'forbidden', '/origin'],
  ])('is refused %s, and no service hears of it', async (_what, headers, status, code, pointer) => {
    const answer = await send(`/api/events?key=${keys.page}`, { ...plain, ...headers });
    expect([answer.status, await answer.json()]).toMatchObject([status, { code, pointer }]);
    expect(seen).toEqual([]);
  });

  it.each([
    ['POST', '/api/users/7/merge'], ['GET', '/api/users/7/context'], ['GET', '/api/search?q=x'],
  ])('is refused on another route, with a sentence that says which ones are possible: %s %s', async (method, path) => {
    const answer = await send(path, { origin: SHOP, 'x-api-key': keys.page, 'content-type': 'application/json' }, { method, body: '{"from":"anon:1"}' });
    expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'forbidden', detail: expect.stringContaining('POST /api/event, POST /api/events, POST /api/impressions') }]);
    expect([seen, answer.headers.get('access-control-allow-origin')]).toEqual([[], null]);
  });

  it('is not looked for in the address of other routes', async () => {
    expect((await send(`/api/search?q=x&key=${keys.secret}`, {}, { method: 'GET' })).status).toBe(401);
  });

  it.each([
    ['an unknown key', 'mr_pub_unknown_unknown_unknown'], ['rubbish', '%00%ff'], ['nothing', ''], ['a secret key', keys.secret],
  ])('is needed in the address: %s is refused with 401 that the page can read', async (_what, key) => {
    const answer = await send(`/api/events?key=${key}`, { ...plain, origin: SHOP });
    const body = await answer.text();
    expect([answer.status, JSON.parse(body), answer.headers.get('access-control-allow-origin')]).toMatchObject([401, { code: 'unauthenticated', pointer: '/key' }, SHOP]);
    if (key !== '') expect(body).not.toContain(key);
    expect(seen).toEqual([]);
  });

  it('is read from the header where both are there', async () => {
    expect((await send(`/api/events?key=${keys.other}`, { ...plain, origin: SHOP, 'x-api-key': keys.page })).status).toBe(200);
    expect(seen[0]?.url).toBe('/api/events');
  });

  it('is in no log, no metric and no answer, whatever goes wrong', async () => {
    for (const path of ['/api/event', '/api/nothing', '/api/events/x']) {
      const answer = await send(`${path}?key=${keys.page}`, { ...plain, origin: SHOP, 'x-request-id': 'fail' });
      expect(await answer.text()).not.toContain(keys.page);
    }
    expect(logged.join('')).not.toContain(keys.page);
    const measured = await metrics.metrics();
    expect([measured.includes('status="503"'), measured.includes('status="404"'), measured.includes('mr_pub_')]).toEqual([true, true, false]);
  });

  it('sends at most 1 MiB at once', async () => {
    expect((await send(`/api/events?key=${keys.page}`, { ...plain, origin: SHOP }, { body: 'x'.repeat(1_100_000) })).status).toBe(413);
    expect(seen).toEqual([]);
  });
});

describe('CORS of the routes for pages', () => {
  const preflight = (path: string, origin: string) => send(path, { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-api-key' }, { method: 'OPTIONS' });

  it('answers preflights for origins that some key names, on these routes only, never with a wildcard or credentials', async () => {
    const headersOf = async (path: string, origin: string) => {
      const { status, headers } = await preflight(path, origin);
      return [status, headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials'), headers.get('vary')];
    };
    expect(await headersOf('/api/events', SHOP)).toEqual([204, SHOP, null, 'Origin']);
    expect(await headersOf('/api/event', OTHER)).toEqual([204, OTHER, null, 'Origin']);
    expect((await headersOf('/api/events', 'https://evil.example'))[1]).toBeNull();
    expect((await headersOf('/api/search', SHOP))[1]).toBeNull();
    expect((await headersOf('/api/users/7/merge', SHOP))[1]).toBeNull();
    expect((await preflight('/api/events', SHOP)).headers.get('access-control-allow-headers')).toMatch(/Content-Type,X-Api-Key/);
  });

  it('lets the page read errors, too, and the time of the server', async () => {
    const answer = await send(`/api/events?key=${keys.page}`, { ...plain, origin: OTHER });
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([403, OTHER, expect.stringContaining('Origin')]);
    expect(answer.headers.get('access-control-expose-headers')).toContain('Date');
    expect((await send('/api/events', plain)).headers.get('vary')).toContain('Origin');
  });

  it('knows a new origin within seconds, and keeps what it knew while the database is away', async () => {
    const loads = [async () => new Set([SHOP]), async () => { throw new Error('away'); }];
    let calls = 0;
    const origins = createKnownOrigins(() => (loads[Math.min(calls++, 1)] ?? (async () => new Set<string>()))(), createLogger('test', 'silent'), { freshForMs: 0 });
    expect([await origins.has(SHOP), await origins.has(SHOP), await origins.has(OTHER), calls]).toEqual([true, true, false, 3]);
  });
});

describe('GET /millrace.js', () => {
  const get = (query: string, headers: Record<string, string> = {}) => send(`/millrace.js${query}`, headers, { method: 'GET' });

  it('is a script for every origin, cached by its version', async () => {
    const first = await get('');
    expect([first.status, first.headers.get('content-type'), first.headers.get('cross-origin-resource-policy'), first.headers.get('cache-control')]).toEqual([200, 'text/javascript; charset=utf-8', 'cross-origin', 'public, max-age=3600']);
    expect(await first.text()).toContain('sendBeacon');
    const etag = first.headers.get('etag') ?? '';
    expect((await get('', { 'if-none-match': etag, 'cache-control': 'max-age=0' })).status).toBe(304);
    expect((await get(`?v=${JSON.parse(etag)}`)).headers.get('cache-control')).toContain('immutable');
    expect((await get('?v=older')).headers.get('cache-control')).toBe('public, max-age=3600');
  });
});
