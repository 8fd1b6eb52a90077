import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineOperation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';

const BODY = JSON.stringify({ code: 'invalid_request' });
let service: Server;
let upstream: Upstream;
let gateway: HttpServer;
beforeAll(async () => {
  // Refuses by the head alone, and closes.
  service = createServer((req, res) => {
    res.writeHead(400, { 'content-type': 'application/problem+json', 'content-length': Buffer.byteLength(BODY), connection: 'close' }).end(BODY, () => req.socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  upstream = createUpstream('svc', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  const operations = [defineOperation({ operationId: 'upload', method: 'post', path: '/api/upload', service: 'svc', scope: 'products:write', summary: '', responses: {}, streams: ['application/x-ndjson'] })];
  const logger = createLogger('test', 'silent');
  const authenticate = async () => ({ id: 'key', kind: 'secret' as const, workspaceId: 'default', scopes: ['products:write'], isDevelopment: false });
  const routes = routeTable({ operations, upstreams: { svc: upstream }, local: {}, authenticate, logger, signer: { sign: async () => '' }, audit: async () => undefined });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await gateway.close(0);
  await upstream.close();
  service.closeAllConnections();
  service.close();
});

/** What comes back for an upload whose body goes on and on. */
async function answerToUpload(): Promise<string> {
  const socket = connect(gateway.port, '127.0.0.1');
  socket.write('POST /api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n');
  const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
  socket.destroy();
  return String(chunk);
}

describe('an upload that its service refuses before it has read the body', () => {
  it('is answered with the refusal, however fast the service closes its connection', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => answerToUpload()));
    expect(answers.filter((answer) => !answer.startsWith('HTTP/1.1 400 '))).toEqual([]);
  });
});
