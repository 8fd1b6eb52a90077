import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getProduct, logEvents } from '@millrace/contracts';
import type { ImportLine } from '@millrace/contracts';
import { ProblemError, TransportError, createClient } from '../src/contract.ts';
import type { Client } from '../src/contract.ts';

const answers: Readonly<Record<string, (res: ServerResponse) => void>> = {
  '/api/products/problem': (res) => void res.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: 'x', title: 'Not found', status: 404, code: 'not_found', detail: 'there is no such product' })),
  '/api/products/broken': (res) => void res.end('{"sku":'),
  '/api/products/other': (res) => void res.end('{"hello":"world"}'),
  '/api/products/cut': (res) => void res.writeHead(200, { 'content-length': '100' }).write('{"sku"', () => res.destroy()),
  '/api/products/html': (res) => void res.writeHead(502).end('<html>'),
  '/api/events': (res) => void res.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '2' }).end(JSON.stringify({ type: 'x', title: 'Unavailable', status: 503, code: 'unavailable', detail: 'later' })),
  '/api/products/silent': () => undefined,
  '/api/products/import': (res) => void res.end(`${JSON.stringify({ type: 'progress', rows: 1, created: 1, updated: 0, unchanged: 0, failed: 0, bytes: 1 })}\n${JSON.stringify({ type: 'progress', rows: 2, created: 2, updated: 0, unchanged: 0, failed: 0, bytes: 2 })}`),
};
let server: Server;
let client: Client;
let hasty: Client;

beforeAll(async () => {
  server = createServer((req, res) => {
    req.resume();
    answers[req.url ?? '']?.(res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const options = { baseUrl: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, apiKey: 'mr_x' };
  [client, hasty] = [createClient(options), createClient({ ...options, timeoutMs: 100 })];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('the client', () => {
  it('throws the problem that the gateway answered', async () => {
    const failed = client.call(getProduct, { params: { sku: 'problem' } });
    await expect(failed).rejects.toThrow(ProblemError);
    await expect(failed).rejects.toMatchObject({ message: 'there is no such product', problem: { code: 'not_found' } });
  });
  it('tells how long to wait before the same is sent again', async () => {
    await expect(client.upload(logEvents, { body: '{}', contentType: 'application/x-ndjson' })).rejects.toMatchObject({ problem: { status: 503 }, retryAfterMs: 2_000 });
    await expect(client.call(getProduct, { params: { sku: 'problem' } })).rejects.toMatchObject({ retryAfterMs: undefined });
  });
  it.each(['broken', 'other', 'cut', 'html', 'silent'])('throws a TransportError for an answer that is %s', async (sku) => {
    await expect((sku === 'silent' ? hasty : client).call(getProduct, { params: { sku } })).rejects.toThrow(TransportError);
  });
  it('throws a TransportError where nobody listens', async () => {
    await expect(createClient({ baseUrl: 'http://127.0.0.1:1', apiKey: 'mr_x' }).call(getProduct, { params: { sku: 'a' } })).rejects.toThrow(TransportError);
  });
  it('yields every line of an import, the last one without a line end too', async () => {
    const lines: ImportLine[] = [];
    for await (const line of client.importProducts(new Blob(['{}']).stream(), { contentType: 'application/x-ndjson' })) lines.push(line);
    expect(lines.map((line) => line.type)).toEqual(['progress', 'progress']);
  });
});
