import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { bodyBudget } from '../src/body-budget.ts';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';
import { startUnreliableService } from './unreliable-service.ts';
import type { UnreliableService } from './unreliable-service.ts';

const KIB = 1_024;
const [PART, CALLER, TOTAL] = [100 * KIB, 250 * KIB, 450 * KIB];
const operation = (over: Partial<Operation>): Operation => ({ operationId: 'write', method: 'post', path: '/api/write', service: 'svc', scope: 'products:write', summary: '', responses: {}, ...over });
const operations = [
  operation({}), operation({ operationId: 'read', method: 'get', path: '/api/read' }),
  operation({ operationId: 'signed', path: '/api/signed', isSigned: true }), operation({ operationId: 'upload', path: '/api/upload', streams: ['text/csv'] }),
];
const keys = [createApiKey(), createApiKey(), createApiKey()] as const;
const metrics = createMetrics('test');
const sockets: Socket[] = [];
let [server, service, upstream]: [HttpServer?, UnreliableService?, Upstream?] = [];

beforeAll(async () => {
  service = await startUnreliableService();
  upstream = createUpstream('svc', service.url);
  const logger = createLogger('test', 'silent');
  const idOf = new Map(keys.map((key, at) => [hashApiKey(key), `key_${at}`]));
  const authenticate = createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => ({ id: idOf.get(hash) ?? '', kind: 'secret', workspaceId: 'default', scopes: ['products:write'], isDevelopment: false }) });
  const routes = routeTable({ operations, upstreams: { svc: upstream }, local: {}, policies: [bodyBudget({ totalBytes: TOTAL, callerBytes: CALLER, metrics })], authenticate, logger, signer: { sign: async () => '' }, audit: async () => undefined });
  server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all([server?.close(0), service?.kill()]);
  await upstream?.close();
});

/** A body of which the last byte never comes. */
function hold(path: string, key?: string): { readonly socket: Socket; readonly answer: () => string } {
  let answer = '';
  const socket = connect(server?.port ?? 0, '127.0.0.1').on('error', () => undefined).on('data', (data) => { answer += data.toString(); });
  socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\n${key === undefined ? '' : `X-Api-Key: ${key}\r\n`}Content-Type: application/json\r\nContent-Length: ${PART + 1}\r\n\r\n${' '.repeat(PART)}`);
  sockets.push(socket);
  return { socket, answer: () => answer };
}
const valueOf = async (name: string, full?: string): Promise<number> => (await metrics.getSingleMetric(name)?.get())?.values.find(({ labels }) => labels['full'] === full)?.value ?? 0;
const holds = (bytes: number): Promise<true> => eventually(async () => (await valueOf('request_body_bytes')) === bytes);
const send = async (path: string, { key, body, type = 'application/json' }: { readonly key?: string; readonly body?: string; readonly type?: string }) => {
  const answer = await fetch(`http://127.0.0.1:${server?.port ?? 0}${path}`, { method: path === '/api/read' ? 'GET' : 'POST', ...(body !== undefined && { body }), headers: { 'content-type': type, ...(key !== undefined && { 'x-api-key': key }) } });
  await answer.arrayBuffer();
  return answer.status;
};
const letGo = async (held: readonly { readonly socket: Socket }[]): Promise<void> => {
  for (const { socket } of held) socket.destroy();
  await holds(0);
};

describe('bodies that wait for their calls to be answered', () => {
  it('are those of one caller up to its share: more get 503 and the end of the connection, and others go on', async () => {
    const held = [hold('/api/write', keys[0]), hold('/api/write', keys[0])];
    await holds(2 * PART);
    const before = await valueOf('request_bodies_refused_total', 'caller');
    const refused = hold('/api/write', keys[0]);
    await eventually(() => refused.answer().includes('unavailable'));
    expect(refused.answer()).toMatch(/^HTTP\/1\.1 503 [\s\S]*Connection: close[\s\S]*one caller/i);
    await holds(2 * PART);
    expect([await send('/api/write', { key: keys[1], body: '{}' }), await valueOf('request_bodies_refused_total', 'caller') - before]).toEqual([200, 1]);
    await letGo(held);
    expect(await send('/api/write', { key: keys[0], body: ' '.repeat(2 * PART) })).toBe(200);
    await holds(0);
  });
  it('are of strangers, whose bodies are signed, no more than of one caller', async () => {
    const held = [hold('/api/signed'), hold('/api/signed')];
    await holds(2 * PART);
    expect([await send('/api/signed', { body: ' '.repeat(PART) }), await send('/api/write', { key: keys[0], body: ' '.repeat(PART) })]).toEqual([503, 200]);
    await letGo(held);
  });
  it('are of all callers together no more than the gateway has room for; what has no body, and what is streamed, goes on', async () => {
    const held = [hold('/api/write', keys[0]), hold('/api/write', keys[0]), hold('/api/write', keys[1]), hold('/api/write', keys[1])];
    await holds(4 * PART);
    const before = await valueOf('request_bodies_refused_total', 'gateway');
    expect([await send('/api/write', { key: keys[2], body: ' '.repeat(PART) }), await valueOf('request_bodies_refused_total', 'gateway') - before]).toEqual([503, 1]);
    expect([await send('/api/read', { key: keys[2] }), await send('/api/upload', { key: keys[2], body: ' '.repeat(5 * PART), type: 'text/csv' })]).toEqual([200, 200]);
    await letGo(held);
  });
  it('count until the service has answered', async () => {
    service?.behave('hang');
    const before = service?.calls.length ?? 0;
    const sent = [send('/api/write', { key: keys[0], body: ' '.repeat(PART) }), send('/api/write', { key: keys[0], body: ' '.repeat(PART) })];
    await eventually(() => service?.calls.length === before + 2);
    expect([await send('/api/write', { key: keys[0], body: ' '.repeat(PART) }), await valueOf('request_body_bytes')]).toEqual([503, 2 * PART]);
    service?.behave('ok');
    service?.release();
    expect(await Promise.all(sent)).toEqual([200, 200]);
    await holds(0);
  });
});
