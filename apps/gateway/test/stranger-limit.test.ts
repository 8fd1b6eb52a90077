import type { IncomingMessage } from 'node:http';
import { BlockList } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineOperation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { clientAddress, parseNetworks } from '../src/limits/client-address.ts';
import { createStrangerLimit } from '../src/limits/stranger-limit.ts';
import { routeTable } from '../src/route-table.ts';

const networks = (text: string): BlockList => parseNetworks(text) ?? new BlockList();
const addressOf = (remoteAddress: string, forwarded?: string, trusted = ''): string => {
  const socket = { remoteAddress };
  return clientAddress(Object.assign(Object.create(null), { socket, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }), networks(trusted));
};

describe('the address of a caller', () => {
  it.each([
    { what: 'is that of its connection, whatever it says of itself', address: addressOf('203.0.113.9', '198.51.100.1'), is: '203.0.113.9' },
    { what: 'is IPv4 also within IPv6', address: addressOf('::ffff:203.0.113.9'), is: '203.0.113.9' },
    { what: 'is the last one that a trusted proxy tells of', address: addressOf('10.0.0.1', '1.1.1.1, 198.51.100.1', '10.0.0.0/8'), is: '198.51.100.1' },
    { what: 'is looked for through all trusted proxies', address: addressOf('::ffff:10.0.0.1', '198.51.100.1:4711, 10.9.9.9', '10.0.0.0/8'), is: '198.51.100.1' },
    { what: 'is the proxy where that tells nonsense', address: addressOf('10.0.0.1', 'me', '10.0.0.0/8'), is: '10.0.0.1' },
    { what: 'is a network of 64 bits in IPv6', address: addressOf('2001:db8:0:7::1'), is: '2001:db8:0:7::/64' },
    { what: 'is the same for every address of that', address: addressOf('::1', '[2001:0DB8::7:ffff:0:0:1]:80', '::1'), is: '2001:db8:0:7::/64' },
  ])('$what', ({ address, is }) => expect(address).toBe(is));

  it.each(['10.0.0.0/33', 'proxy.example', '10.0.0.1/', '::1/129', '1.2.3.4/8/9'])('is not asked of a proxy that is named as %s', (text) => {
    expect(parseNetworks(text)).toBeUndefined();
  });
});

const keys = { known: createApiKey(), second: createApiKey() };
const PER_MINUTE = 5;
let server: HttpServer;
let lookups = 0;
let nowMs = 0;
const waiting = Promise.withResolvers<void>();
beforeAll(async () => {
  const metrics = createMetrics('test');
  const authenticate = createAuthenticateKey({
    isProduction: true, now: () => nowMs,
    findKeyOwner: async (hash) => {
      lookups += 1;
      return Object.values(keys).map(hashApiKey).includes(hash) ? { id: 'key_1', kind: 'secret', workspaceId: 'default', scopes: ['products:read'], isDevelopment: false } : undefined;
    },
  });
  const operation = defineOperation({ operationId: 'read', method: 'get', path: '/api/things', service: 'svc', scope: 'products:read', summary: '', responses: {} });
  const signed = defineOperation({ operationId: 'signed', method: 'post', path: '/api/signed', service: 'svc', scope: 'pos:write', isSigned: true, summary: '', responses: {} });
  const forward = async (req: IncomingMessage) => {
    const signature = req.headers['x-hub-signature'];
    if (signature === 'late') throw new AppError('request_timeout', 'the body did not arrive');
    if (signature === 'waits') await waiting.promise;
    return { status: req.method === 'GET' || signature === 'right' ? 200 : signature === 'away' ? 503 : 401, headers: {}, body: Buffer.from('{}') };
  };
  const upstream = { forward, endFeeds: () => undefined, close: async () => undefined };
  const routes = routeTable({
    operations: [operation, signed], upstreams: { svc: upstream }, local: {}, authenticate, logger: createLogger('test', 'silent'), signer: { sign: async () => '' }, audit: async () => undefined,
    guardCallers: createStrangerLimit({ perMinute: PER_MINUTE, trustedProxies: networks('127.0.0.0/8'), isKnownKey: (key) => authenticate.isKnown(key), metrics, nowMs: () => nowMs }),
  });
  server = await startHttpServer(createHttpApp({ logger: createLogger('test', 'silent'), metrics, handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => server.close(0));

const call = async (key: string | undefined, from: string, headers: Readonly<Record<string, string>> = {}) => {
  const response = await fetch(`http://127.0.0.1:${server.port}/api/things`, { headers: { 'x-forwarded-for': from, ...(key !== undefined && { 'x-api-key': key }), ...headers } });
  return { status: response.status, code: (await response.json() as { code?: string }).code, header: (name: string) => response.headers.get(name) };
};

describe('calls without a valid key', () => {
  it('are refused by address from memory after too many, until there are more', async () => {
    const from = '198.51.100.1';
    for (let at = 0; at < PER_MINUTE; at += 1) expect((await call(createApiKey(), from)).status).toBe(401);
    const before = lookups;
    for (const key of [createApiKey(), undefined, 'nonsense']) expect(await call(key, from)).toMatchObject({ status: 429, code: 'rate_limited' });
    const refused = await call(createApiKey(), from);
    expect([refused.header('retry-after'), refused.header('ratelimit-policy'), refused.header('ratelimit'), lookups]).toEqual(['12', '"strangers";q=5;w=60', '"strangers";r=0;t=12', before]);
    expect((await call(createApiKey(), '198.51.100.2')).status).toBe(401);
    nowMs += 12_000;
    expect([(await call(createApiKey(), from)).status, (await call(createApiKey(), from)).status]).toEqual([401, 429]);
  });

  it('do not shut out who has shown a valid key behind the same address', async () => {
    const from = '198.51.100.3';
    expect((await call(keys.known, from)).status).toBe(200);
    for (let at = 0; at <= PER_MINUTE; at += 1) await call(createApiKey(), from);
    expect((await call(createApiKey(), from)).status).toBe(429);
    nowMs += 31_000;
    for (let at = 0; at < PER_MINUTE; at += 1) await call(createApiKey(), from);
    // Without tokens nobody looks at Authorization.
    for (const headers of [{}, { authorization: 'Basic eA==' }]) expect((await call(keys.known, from, headers)).status).toBe(200);
    expect([(await call(undefined, from, { authorization: 'Bearer x' })).status, (await call(keys.second, from)).status]).toEqual([429, 429]);
  });
  const send = async (from: string, signature: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${server.port}/api/signed`, { method: 'POST', headers: { 'x-forwarded-for': from, 'x-hub-signature': signature, ...headers } });
    await response.arrayBuffer();
    return response.status;
  };
  it.each([
    { what: 'the service cannot take', signature: 'away', status: 503, from: '198.51.100.80' },
    { what: 'break off or do not arrive', signature: 'late', status: 408, from: '198.51.100.81' },
  ])('are signed ones, too, that $what', async ({ signature, status, from }) => {
    for (let n = 0; n < PER_MINUTE; n += 1) expect(await send(from, signature)).toBe(status);
    expect([await send(from, signature), await send(from, 'right')]).toEqual([429, 429]);
    nowMs += 60_000;
    expect(await send(from, 'right')).toBe(200);
  });
  it('are signed ones from before their bodies are read until they are answered: an address has no more of them at once', async () => {
    const from = '198.51.100.82';
    const open = Array.from({ length: PER_MINUTE }, () => send(from, 'waits'));
    await eventually(async () => (await send(from, 'right')) === 429);
    waiting.resolve();
    expect(await Promise.all(open)).toEqual(Array.from({ length: PER_MINUTE }, () => 401));
  });
  it('are those with a wrong signature, too, whatever key or token they bring; who signs rightly from elsewhere is not counted', async () => {
    for (let n = 0; n < PER_MINUTE; n += 1) expect(await send('198.51.100.70', 'wrong')).toBe(401);
    expect([await send('198.51.100.70', 'wrong'), await send('198.51.100.70', 'right', { authorization: 'Bearer x', 'x-api-key': keys.known })]).toEqual([429, 429]);
    for (let n = 0; n < 2 * PER_MINUTE; n += 1) expect(await send('198.51.100.71', 'right')).toBe(200);
    nowMs += 60_000;
    expect(await send('198.51.100.70', 'right')).toBe(200);
  });
});
