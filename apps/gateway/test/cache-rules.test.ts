import { createServer } from 'node:http';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import type { EventSubscriber } from '@millrace/bus';
import { defineOperation, getProduct, lookupSubscribers, operations, scopes, searchProducts } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import express from 'express';
import { createRequestReader } from '../src/cache/cache-key.ts';
import { cacheRoutes } from '../src/cache/cache.routes.ts';
import { cachedOperations, checkCachedOperations } from '../src/cache/cached-operations.ts';
import { followUpdates } from '../src/cache/follow-updates.ts';
import { routeTable } from '../src/route-table.ts';

/** What each of these addresses asks for, as the cache names it. */
async function textsOf(operation: Operation, urls: readonly string[]): Promise<(string | undefined)[]> {
  const cached = cachedOperations.find((one) => one.operation.operationId === operation.operationId);
  if (!cached) throw new Error('it is not cached');
  const [read, texts] = [createRequestReader(cached), [] as (string | undefined)[]];
  const app = express().set('query parser', 'simple').get(operation.path.replaceAll(/\{(\w+)\}/g, ':$1'), (req, res) => {
    texts.push(read(req)?.text);
    res.end();
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  for (const url of urls) await (await fetch(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}${url}`)).text();
  server.closeAllConnections();
  server.close();
  return texts;
}

describe('what a request asks for', () => {
  it('is the same in any order, with defaults written out, however it is encoded, and at any time', async () => {
    const texts = await textsOf(searchProducts, ['/api/search?q=a+b&brand=x', '/api/search?brand=x&q=a%20b', '/api/search?q=%61%20b&brand=x&limit=20&sort=relevance', '/api/search?q=a+b&brand=x']);
    expect([new Set(texts).size, typeof texts[0]]).toEqual([1, 'string']);
    expect(new Set(await textsOf(getProduct, ['/api/products/MR-1', '/api/products/MR%2D1', '/api/products/MR-1?', '/api/products/MR-1/'])).size).toBe(1);
  });
  it('is another thing for other values, wherever the separators stand', async () => {
    const texts = await textsOf(searchProducts, ['/api/search?q=a', '/api/search?q=A', '/api/search?q=a%26brand%3Dx', '/api/search?q=a&brand=x', '/api/search?q=%5B%22a%22%5D', '/api/search?q=%00', '/api/search']);
    expect(new Set(texts).size).toBe(texts.length);
  });
  it.each(['q=a&q=b', 'q=a&Q=b', 'q=a&__proto__=b', 'q=a&constructor=b', 'q[]=a', 'q=a&limit=1e9', 'q=a&limit=20&limit=20', `q=${'a'.repeat(10_001)}`, 'q=a&cache=1'])('is the business of the service for %.40s', async (query) => {
    expect(await textsOf(searchProducts, [`/api/search?${query}`])).toEqual([undefined]);
  });
});

describe('the table of cached operations', () => {
  const table = (operation: Operation, personalHeaders: readonly string[] = []) => cachedOperations.slice(0, 1).map((cached) => ({ ...cached, operation, personalHeaders }));
  const read = defineOperation({ ...getProduct, operationId: 'read' });
  it.each([
    ['a person is named in', { ...read, isPersonal: true }],
    ['holds a secret', { ...read, holdsSecret: true }],
    ['personal data can be read from', { ...read, scope: 'pii:read' as const }],
    ['is audited', { ...read, audited: true }],
    ['changes something', { ...read, method: 'post' as const }],
    ['reads a header that the table does not know of', { ...read, headers: searchProducts.headers }],
  ])('stops the gateway where it has an operation that %s', (_what, operation) => {
    expect(() => checkCachedOperations([operation], table(operation))).toThrow(/the cache has a policy for read/);
  });
  it('stops a gateway that does not serve one of its operations', () => {
    expect(() => checkCachedOperations(operations.filter(({ operationId }) => operationId !== 'suggestProducts'))).toThrow(/suggestProducts/);
  });
  it('has nothing of subscribers, sessions or users', () => {
    expect(() => checkCachedOperations([lookupSubscribers], table(lookupSubscribers))).toThrow();
    expect(() => checkCachedOperations(operations)).not.toThrow();
    expect(() => checkCachedOperations([{ ...read, headers: searchProducts.headers }], table({ ...read, headers: searchProducts.headers }, ['x-user-id']))).not.toThrow();
  });
});

describe('the cache beside the bus', () => {
  it('is emptied where events were missed, on either topic', async () => {
    const purged: unknown[] = [];
    const gaps: (() => Promise<void>)[] = [];
    const bus: EventSubscriber = { subscribe: async (_topic, options) => { if ('onGap' in options) gaps.push(async () => options.onGap?.()); return { close: async () => undefined }; } };
    await followUpdates(bus, { get: async () => ({ answer: undefined, outcome: 'bypass' }), purge: async (tags) => void purged.push(tags) });
    for (const gap of gaps) await gap();
    expect(purged).toEqual([undefined, undefined]);
  });
});

describe('a gateway without a cache', () => {
  it('says so, and purges nothing', async () => {
    const logger = createLogger('test', 'silent');
    const served = operations.filter(({ operationId }) => operationId === 'getCache' || operationId === 'purgeCache');
    const owner = { id: 'key_1', kind: 'secret' as const, workspaceId: 'default', scopes: [...scopes], isDevelopment: false };
    const routes = routeTable({ operations: served, upstreams: {}, local: cacheRoutes(undefined), logger, authenticate: async () => owner, signer: { sign: async () => '' }, audit: async () => undefined });
    const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
    const url = `http://127.0.0.1:${server.port}/api/admin/cache`;
    expect(await (await fetch(url)).json()).toMatchObject({ enabled: false, usable: false, redis: null });
    const purge = await fetch(`${url}/purge`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"all":true}' });
    expect([purge.status, await purge.json()]).toEqual([409, expect.objectContaining({ code: 'conflict' })]);
    await server.close(0);
  });
});
