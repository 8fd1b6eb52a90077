import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EventBus } from '@millrace/bus';
import { LOGGED_SEARCH_HEADER, encodeLoggedSearch, indexUpdates, productUpdates, scopes, searches } from '@millrace/contracts';
import type { Product, SearchEvent } from '@millrace/contracts';
import { createApiKey, hashApiKey } from '@millrace/service';
import { eventually, startRedisServer, uniqueName } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { startCachingGateway } from './caching-gateway.ts';
import type { CachingGateway } from './caching-gateway.ts';

const RACES = process.env['TEST_SCALE'] === 'full' ? 1_000 : 100;
/** A machine may run everything else besides: how soon a purge is seen, `npm run bench -- gateway` measures. */
const WITHIN_MS = 10_000;
const keys = { all: createApiKey(), reader: createApiKey() };
const owners = new Map([
  [hashApiKey(keys.all), { id: 'key_all', scopes: [...scopes], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
  [hashApiKey(keys.reader), { id: 'key_reader', scopes: ['products:read', 'search:read'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }],
]);
const product = (sku: string, version: number): Product => ({
  sku, version, content_version: version, merchant_id: 1, name: `v${version}`, description: null, category: 'lamps', brand: null, mpn: null, ean: [], price: null, price_minor: null, currency: 'USD',
  stock: null, image_url: null, attributes: {}, status: 'active', created_at: '2026-11-01T08:00:00.000000Z', updated_at: '2026-11-01T08:00:00.000000Z',
});

/** catalog-api, as far as caching sees it: every product is at `version`. */
const origin = { version: 1, calls: [] as IncomingMessage[], degraded: false, status: 200, isMissing: false, isSlow: false, headers: {} as Readonly<Record<string, string>>, onAsked: () => undefined as void };
const answerOf = (url: string): unknown => {
  const [path = '', query = ''] = url.split('?');
  const sku = decodeURIComponent(path.split('/')[3] ?? '');
  if (path.startsWith('/api/products/') && !path.endsWith('/similar')) return product(sku, origin.version);
  const item = { sku: 'hit', category: 'lamps' };
  if (path.endsWith('/similar')) return { data: [], fallback: true, model: null, degraded: origin.degraded };
  if (path === '/api/suggest') return { data: [{ text: `v${origin.version}`, kind: 'product', sku: 'hit' }], degraded: origin.degraded };
  return { data: [item], facets: { category: [{ value: 'lamps', count: 1 }] }, page: { next: query.includes('more') ? 'c' : null, limit: 20 }, degraded: origin.degraded, took_ms: origin.version };
};

/** As catalog-api says it, of first pages. */
const loggedOf = (url: string): string => encodeLoggedSearch({ query: `${new URLSearchParams(url.split('?')[1]).get('q') ?? ''} đèn`, filters: { currency: 'USD', sort: 'relevance' }, hits: 1, degraded: false });

let [service, cacheRedis, busRedis]: [Server?, RedisServer?, RedisServer?] = [];
const gateways: CachingGateway[] = [];

beforeAll(async () => {
  [cacheRedis, busRedis] = await Promise.all([startRedisServer(), startRedisServer()]);
  service = createServer((req, res) => {
    origin.calls.push(req);
    req.resume();
    const isMissing = origin.isMissing || (req.url ?? '').includes('missing');
    const status = isMissing ? 404 : req.method === 'POST' ? 201 : origin.status;
    const body = isMissing ? { type: 'urn:millrace:problem:not_found', title: 'Not found', status, code: 'not_found', detail: 'there is no such product', request_id: req.headers['x-request-id'] } : answerOf(req.url ?? '');
    const text = JSON.stringify(body);
    origin.onAsked();
    const send = (): void => void res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...origin.headers, ...(status === 200 && (req.url ?? '').startsWith('/api/search') && { [LOGGED_SEARCH_HEADER]: loggedOf(req.url ?? '') }), ...(status === 200 && (req.url ?? '').startsWith('/api/products/') && { etag: `"${origin.version}.${origin.version}"` }) }).end(text);
    // What was so when it was asked for, sooner or later.
    if (origin.isSlow && origin.calls.length % 3 > 0) setTimeout(send, origin.calls.length % 5);
    else send();
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  for (let n = 0; n < 2; n += 1) gateways.push(await startCachingGateway({ originUrl: url, cacheUrl: cacheRedis.url, busUrl: busRedis.url, findKeyOwner: async (hash) => owners.get(hash) }));
});
afterAll(async () => {
  for (const gateway of gateways) await gateway.close();
  service?.closeAllConnections();
  service?.close();
  await Promise.all([cacheRedis?.stop(), busRedis?.stop()]);
});

interface Init extends RequestInit { readonly key?: string; readonly gateway?: number }
const call = async (path: string, { key = keys.all, gateway = 0, ...init }: Init = {}) => {
  const answer = await fetch(`http://127.0.0.1:${gateways[gateway]?.server.port ?? 0}${path}`, { ...init, headers: { 'x-api-key': key, ...Object.fromEntries(new Headers(init.headers)) } });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, how: answer.headers.get('cache-status'), body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
};
const send = (path: string, method: string, body?: unknown, init: Init = {}) =>
  call(path, { ...init, method, headers: { 'if-match': '*', ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });

describe('cached answers of the gateway', () => {
  it('come from the cache with their age, and are not given to a caller with other scopes', async () => {
    const path = `/api/products/${uniqueName('sku')}`;
    expect((await call(path)).how).toBe('millrace; fwd=uri-miss; stored');
    const again = await call(path, { gateway: 1 });
    expect([again.how, again.headers.get('age'), again.headers.get('etag'), again.body['version']]).toEqual([expect.stringMatching(/^millrace; hit; ttl=2\d\d$/), expect.stringMatching(/^\d$/), `"${origin.version}.${origin.version}"`, origin.version]);
    expect((await call(path, { key: keys.reader })).how).toBe('millrace; fwd=uri-miss; stored');
  });

  it('are answered 304 to who has them, with an ETag also where the service gives none', async () => {
    const path = `/api/search?q=${uniqueName('word')}`;
    const etag = (await call(path)).headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    const before = origin.calls.length;
    const answer = await call(path, { headers: { 'if-none-match': etag } });
    expect([answer.status, answer.body, answer.headers.get('etag'), origin.calls.length]).toEqual([304, {}, etag, before]);
    const sku = `/api/products/${uniqueName('sku')}`;
    expect((await call(sku, { headers: { 'if-none-match': `"${origin.version}.${origin.version}"` } })).status).toBe(304);
    expect((await call(sku)).status).toBe(200);
  });

  it('are the same for queries that mean the same', async () => {
    const word = uniqueName('word');
    await call(`/api/search?q=${word}`);
    expect((await call(`/api/search?limit=20&sort=relevance&q=${word}&personalize=false`)).how).toMatch(/hit/);
    expect((await call(`/api/search?limit=21&q=${word}`)).how).toMatch(/uri-miss/);
  });

  it.each([
    ['an unknown parameter', '/api/search?colour=red', {}],
    ['the search of a named user', '/api/search?q=a', { 'x-user-id': '7' }],
    ['a personal order', '/api/search?q=a&personalize=true&user_id=7', {}],
    ['a search that waits for a version', '/api/search?q=a&wait_for=a:1', {}],
    ['a caller that asks for what is so now', '/api/search?q=a', { 'cache-control': 'no-cache' }],
    ['an operation without a policy', '/api/products', {}],
  ])('are neither given nor kept for %s', async (_what, path, headers) => {
    const before = origin.calls.length;
    const how = [(await call(path, { headers })).how, (await call(path, { headers })).how];
    expect([how.every((one) => one === null || one === 'millrace; fwd=bypass'), origin.calls.length - before]).toEqual([true, 2]);
  });

  it.each([['degraded', { degraded: true }], ['a failure', { status: 500 }], ['a refusal', { status: 400 }]])('are never %s', async (_what, state) => {
    Object.assign(origin, state);
    const path = `/api/search?q=${uniqueName('word')}`;
    expect([(await call(path)).how, (await call(path)).how]).toEqual(['millrace; fwd=uri-miss', 'millrace; fwd=uri-miss']);
    Object.assign(origin, { degraded: false, status: 200 });
  });

  it('say for a while that there is no such product, each with the id of its own request', async () => {
    const path = `/api/products/missing-${uniqueName()}`;
    const [first, second] = [await call(path), await call(path)];
    expect([first.status, second.status, second.how]).toEqual([404, 404, expect.stringMatching(/^millrace; hit; ttl=\d$/)]);
    expect([second.body['request_id'], second.headers.get('x-request-id')]).toEqual([second.headers.get('x-request-id'), expect.any(String)]);
  });

  it('are not waited for behind a caller whose own body never comes', async () => {
    const path = `/api/products/${uniqueName('sku')}`;
    const stalling = connect(gateways[0]?.server.port ?? 0, '127.0.0.1', () => stalling.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${keys.all}\r\nContent-Length: 9\r\n\r\n`));
    await once(stalling, 'ready');
    await eventually(() => stalling.bytesWritten > 0 && stalling.writableLength === 0);
    // Behind the other one, as far as one process can tell.
    await call('/api/products/before');
    expect(await call(path, { signal: AbortSignal.timeout(5_000) })).toMatchObject({ status: 200, how: 'millrace; fwd=uri-miss; stored' });
    stalling.destroy();
  });

  it.each([['a cookie', { 'set-cookie': 'a=1' }], ['another answer for other callers', { vary: 'X-User-Id' }]])('are never kept where the service sends %s', async (_what, headers) => {
    origin.headers = headers;
    const path = `/api/products/${uniqueName('sku')}`;
    const answers = [await call(path), await call(path)];
    origin.headers = {};
    expect(answers.map(({ how, headers: got }) => [how, got.get('set-cookie')])).toEqual(Array.from({ length: 2 }, () => ['millrace; fwd=uri-miss', null]));
  });

  it('are asked for with nothing of the first caller that the others did not send', async () => {
    const path = `/api/products/${uniqueName('sku')}`;
    await call(path, { headers: { accept: 'text/html', 'x-user-id': '7', 'if-none-match': '"1"' } });
    const { accept, 'x-user-id': user, 'if-none-match': match } = origin.calls.at(-1)?.headers ?? {};
    expect([accept, user, match]).toEqual([undefined, undefined, undefined]);
  });

  it('come in one piece to HEAD, from the service', async () => {
    const path = `/api/products/${uniqueName('sku')}`;
    await call(path);
    expect(await call(path, { method: 'HEAD' })).toMatchObject({ status: 200, how: 'millrace; fwd=bypass' });
  });
});

describe('a change', () => {
  it('is seen by the next read after a write through the same gateway, on every gateway by Redis', async () => {
    const sku = uniqueName('sku');
    for (const [method, path, body] of [['PATCH', '', { price: 1 }], ['PUT', '/stock', { stock: 1 }], ['POST', '/stock/adjust', { delta: 1 }], ['DELETE', '', undefined]] as const) {
      await call(`/api/products/${sku}`);
      origin.version += 1;
      await send(`/api/products/${sku}${path}`, method, body);
      expect((await call(`/api/products/${sku}`)).body['version']).toBe(origin.version);
      expect((await call(`/api/products/${sku}`, { gateway: 1 })).body['version']).toBe(origin.version);
      // Not from the memory of the other one in the next round.
      await gateways[1]?.cache.purge(undefined);
    }
  });

  it('of rules and synonyms is seen by the next search', async () => {
    const path = `/api/search?q=${uniqueName('more')}`;
    await call(path);
    origin.version += 1;
    await send('/api/admin/rules', 'POST', {});
    expect((await call(path)).body['took_ms']).toBe(origin.version);
  });

  it.each([
    { what: 'a product', path: (sku: string) => `/api/products/${sku}`, publish: (bus: EventBus, sku: string) => bus.publish(productUpdates, [{ type: 'update', version: 2, product: product(sku, 2) }]) },
    { what: 'a hit', path: () => `/api/search?q=${uniqueName('more')}`, publish: (bus: EventBus) => bus.publish(indexUpdates, [{ type: 'changed', store: 'search', items: [{ sku: 'hit', version: 2, categories: [] }] }]) },
    { what: 'the category of a search', path: () => `/api/search?q=${uniqueName('more')}`, publish: (bus: EventBus) => bus.publish(indexUpdates, [{ type: 'changed', store: 'search', items: [{ sku: 'new', version: 2, categories: ['lamps'] }] }]) },
    { what: 'anything, where a list is not full', path: () => `/api/suggest?q=${uniqueName('q')}`, publish: (bus: EventBus) => bus.publish(indexUpdates, [{ type: 'changed', store: 'search', items: [{ sku: 'new', version: 2, categories: ['other'] }] }]) },
    { what: 'the whole index', path: () => `/api/search?q=${uniqueName('more')}`, publish: (bus: EventBus) => bus.publish(indexUpdates, [{ type: 'swapped', store: 'search', index: 'i-2', all: true }]) },
    { what: 'the vectors of a product', path: (sku: string) => `/api/products/${sku}/similar`, publish: (bus: EventBus, sku: string) => bus.publish(indexUpdates, [{ type: 'changed', store: 'vectors', items: [{ sku, version: 2, categories: [] }] }]) },
  ])('of $what reaches every gateway by the bus', async ({ path, publish }) => {
    const [sku, [first, second]] = [uniqueName('sku'), gateways];
    const asked = path(sku);
    for (const gateway of [0, 1]) await eventually(async () => /hit/.test((await call(asked, { gateway })).how ?? ''));
    const before = origin.calls.length;
    if (first && second) await publish(first.bus, sku);
    for (const gateway of [0, 1]) await eventually(async () => { await call(asked, { gateway }); return origin.calls.length > before + gateway || (gateway === 1 && /hit/.test((await call(asked, { gateway })).how ?? '')); });
  });

  it(`is never overtaken by the answer from before it: ${RACES} races of two gateways`, async () => {
    const sku = uniqueName('race');
    const path = `/api/products/${sku}`;
    const [first] = gateways;
    origin.isSlow = true;
    for (let race = 0; race < RACES; race += 1) {
      if (race % 2 === 0) await first?.cache.purge([`sku:${sku}`]);
      // In every second one the change comes when the service has just read what was so before.
      const changed = new Promise<void>((resolve) => {
        const change = (): void => { origin.onAsked = () => undefined; origin.version += 1; resolve(); };
        if (race % 2 === 0) origin.onAsked = change;
        else change();
      });
      const reading = [call(path), call(path, { gateway: 1 })];
      await changed;
      const wanted = origin.version;
      reading.push(call(path), call(path, { gateway: 1 }));
      await first?.bus.publish(productUpdates, [{ type: 'update', version: wanted, product: product(sku, wanted) }]);
      await Promise.all(reading);
      await Promise.all([0, 1].map((gateway) => eventually(async () => (await call(path, { gateway })).body['version'] === wanted, { timeoutMs: WITHIN_MS, everyMs: 1 })));
      expect(await Promise.all([0, 1].map(async (gateway) => (await call(path, { gateway })).body['version']))).toEqual([wanted, wanted]);
    }
    origin.isSlow = false;
  });
});

describe('the search log', () => {
  it('counts each search that the service did not hear of, over all gateways, and says nothing of it to callers', async () => {
    const q = uniqueName('word');
    const seen: SearchEvent[] = [];
    const [first] = gateways;
    await first?.bus.subscribe(searches, { group: 'test' }, async (events) => void seen.push(...events.filter(({ query }) => query === `${q} đèn`)));
    const before = origin.calls.length;
    const ask = (gateway: number, headers = {}) => call(`/api/search?q=${q}`, { gateway, headers });
    const answers = await Promise.all(Array.from({ length: 12 }, (_none, n) => ask(n % 2)));
    for (let n = 0; n < 8; n += 1) answers.push(await ask(n % 2));
    answers.push(await ask(0, { 'x-user-id': 'customer-81' }), await ask(0, { 'if-none-match': answers[0]?.headers.get('etag') ?? '' }));
    const heard = origin.calls.length - before;
    expect(answers.map(({ headers }) => headers.get(LOGGED_SEARCH_HEADER))).toEqual(answers.map(() => null));
    const counted = (): number => seen.reduce((sum, { times = 1 }) => sum + times, 0);
    await eventually(() => heard + counted() === answers.length);
    expect(seen[0]).toMatchObject({ type: 'executed', query: `${q} đèn`, filters: { currency: 'USD', sort: 'relevance' }, hits: 1, degraded: false, user: null, ms: expect.any(Number) });
    expect(seen.length).toBeLessThan(counted());
  });
});

describe('the operations of the cache', () => {
  it.each([
    ['tags', (sku: string) => ({ tags: [`sku:${sku}`] })],
    ['an operation', () => ({ operation: 'getProduct' })],
    ['all', () => ({ all: true })],
  ])('purge by %s', async (_what, bodyOf) => {
    const sku = uniqueName('sku');
    await call(`/api/products/${sku}`);
    expect(await send('/api/admin/cache/purge', 'POST', bodyOf(sku))).toMatchObject({ status: 200, body: { done: true } });
    expect((await call(`/api/products/${sku}`)).how).toMatch(/uri-miss/);
  });

  it.each([
    [{}, '', 400], [{ tags: ['sku:x'], all: true }, '', 400], [{ tags: ['nonsense'] }, '/tags/0', 400], [{ tags: [] }, '/tags', 400], [{ operation: 'getRecommendations' }, '/operation', 400], [{ all: false }, '/all', 400],
  ])('refuse %j and purge nothing', async (body, pointer, status) => {
    const path = `/api/products/${uniqueName('sku')}`;
    await call(path);
    const answer = await send('/api/admin/cache/purge', 'POST', body);
    expect([answer.status, answer.body['code'], answer.body['pointer']]).toEqual([status, 'invalid_request', pointer]);
    expect((await call(path)).how).toMatch(/hit/);
  });

  it('need the scope ops, and tell what the cache does', async () => {
    expect((await call('/api/admin/cache', { key: keys.reader })).status).toBe(403);
    await call(`/api/products/${uniqueName('sku')}`);
    const { body } = await call('/api/admin/cache');
    expect(body).toMatchObject({ enabled: true, usable: true, redis: { used_bytes: expect.any(Number) }, near: { bytes: expect.any(Number) } });
    expect(JSON.stringify(body['operations'])).toMatch(/"getProduct","fresh_seconds":300,.*"miss":[1-9]/);
  });
});
