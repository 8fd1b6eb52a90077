import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';
import { uploadPolicy } from '../src/slow-clients/upload-policy.ts';
import { startUnreliableService } from './unreliable-service.ts';
import type { UnreliableService } from './unreliable-service.ts';

const SLOW = 500;
const operation = (over: Partial<Operation>): Operation => ({ operationId: 'read', method: 'get', path: '/api/read', service: 'svc', scope: 'products:read', summary: '', responses: {}, ...over });
const operations = [operation({}), operation({ operationId: 'upload', method: 'post', path: '/api/upload', streams: ['application/x-ndjson'] }), operation({ operationId: 'admin', path: '/api/admin', scope: 'ops' })];

let [service, upstream]: [UnreliableService?, Upstream?] = [];
let [server, small]: HttpServer[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  service = await startUnreliableService();
  upstream = createUpstream('svc', service.url);
  const logger = createLogger('test', 'silent');
  const authenticate = async () => ({ id: 'key', kind: 'secret' as const, workspaceId: 'default', scopes: ['products:read'], isDevelopment: false });
  const routes = routeTable({ operations, upstreams: { svc: upstream }, local: {}, policies: [uploadPolicy({ everyMs: 100, leastBytes: 1_000 })], authenticate, logger, signer: { sign: async () => '' }, audit: async () => undefined });
  const app = createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] });
  server = await startHttpServer(app, { host: '127.0.0.1', port: 0, requestTimeoutMs: 3_600_000, headersTimeoutMs: 1_000, lateBodyMs: 100 });
  small = await startHttpServer(app, { host: '127.0.0.1', port: 0, maxConnections: 2 });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all([server?.close(0), small?.close(0), service?.kill()]);
  await upstream?.close();
});

/** A connection that says exactly this, and what it was answered. */
function open(text: string, port = server?.port ?? 0): { readonly socket: Socket; readonly answer: () => string } {
  let answer = '';
  const socket = connect(port, '127.0.0.1').on('error', () => undefined).on('data', (data) => { answer += data.toString(); });
  socket.write(text);
  sockets.push(socket);
  return { socket, answer: () => answer };
}
const read = (port = server?.port ?? 0) => fetch(`http://127.0.0.1:${port}/api/read`).then(({ status }) => status);

describe('a gateway with slow clients', () => {
  it(`answers others while ${SLOW} connections send a byte now and then, and closes these with 408`, async () => {
    const slow = Array.from({ length: SLOW }, () => open('GET /api/read HTTP/1.1\r\nHost: a\r\n'));
    await eventually(() => slow.every(({ socket }) => socket.destroyed || !socket.pending));
    const trickle = setInterval(() => {
      for (const { socket } of slow) if (socket.writable) socket.write('X-A: b\r\n');
    }, 200);
    const statuses = await Promise.all(Array.from({ length: 50 }, () => read()));
    expect(statuses).toEqual(Array.from({ length: 50 }, () => 200));
    await eventually(() => slow.every(({ socket }) => socket.destroyed));
    clearInterval(trickle);
    expect(slow.filter(({ answer }) => answer().startsWith('HTTP/1.1 408')).length).toBeGreaterThan(0);
  });
  it('refuses an upload that trickles, and leaves the service', async () => {
    const { socket, answer } = open('POST /api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n');
    service?.behave('hang');
    const trickle = setInterval(() => socket.writable && socket.write('1\r\n \r\n'), 20);
    await eventually(() => socket.destroyed);
    clearInterval(trickle);
    expect(answer()).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/);
    service?.behave('ok');
  });
  it('takes an upload that is slow because its service is', async () => {
    service?.behave('hang');
    const before = service?.calls.length ?? 0;
    const upload = fetch(`http://127.0.0.1:${server?.port ?? 0}/api/upload`, { method: 'POST', body: '{}\n', headers: { 'content-type': 'application/x-ndjson' } });
    await eventually(() => (service?.calls.length ?? 0) > before);
    let ticks = 0;
    await eventually(() => (ticks += 1) > 30);
    service?.release();
    service?.behave('ok');
    expect((await upload).status).toBe(200);
  });
  it('does not wait for the body of a request that was refused already', async () => {
    const { socket, answer } = open('POST /api/admin HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{');
    await eventually(() => answer().includes('405'));
    await eventually(() => socket.destroyed);
  });
  it('has no more connections than it may, and the others when one goes', async () => {
    const port = small?.port ?? 0;
    const held = [open('GET /api/read HTTP/1.1\r\n', port), open('GET /api/read HTTP/1.1\r\n', port)];
    await eventually(() => held.every(({ socket }) => !socket.pending));
    const refused = open('GET /api/read HTTP/1.1\r\nHost: a\r\n\r\n', port);
    await eventually(() => refused.socket.destroyed);
    expect(refused.answer()).toBe('');
    held[0]?.socket.destroy();
    await eventually(async () => (await read(port)) === 200);
  });
});
