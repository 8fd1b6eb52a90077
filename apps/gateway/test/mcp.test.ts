import { MCP_MESSAGE_BYTES, callMcp, listKeys } from '@millrace/contracts';
import { startHttpServer } from '@millrace/http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import express from 'express';
import { AUDITED_CHARACTERS, auditPath, mcpPolicy } from '../src/mcp/mcp-policy.ts';
import type { Answerer } from '../src/policy.ts';
import { startGuardedGateway } from './guarded-gateway.ts';
import type { GuardedGateway } from './guarded-gateway.ts';

let gateway: GuardedGateway;
let key: string;
beforeAll(async () => {
  gateway = await startGuardedGateway();
  key = gateway.key();
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.audited.length = 0;
  gateway.reached.length = 0;
});

const post = (body: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => fetch(`http://127.0.0.1:${gateway.port}/mcp`, { method: 'POST', body, headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers } });

/** The path in the audit log, of a message that was really sent. */
async function auditedOf(message: unknown, answer: Answerer, scopes: readonly string[] = ['products:read', 'products:write']): Promise<string | undefined> {
  const handle = mcpPolicy(undefined)(callMcp, answer);
  let path: string | undefined;
  const app = express().post('/mcp', async (req, res, next) => {
    await handle({ req, res, next, requestId: 'r', owner: { id: 'key_1', workspaceId: 'default', kind: 'secret', scopes, isDevelopment: true } }).catch(() => undefined);
    path = auditPath(callMcp, req, 200);
    res.end();
  });
  const server = await startHttpServer(app, { host: '127.0.0.1', port: 0 });
  await fetch(`http://127.0.0.1:${server.port}/mcp`, { method: 'POST', body: JSON.stringify(message) });
  await server.close();
  return path;
}

describe('POST /mcp at the gateway', () => {
  it('reaches the service with a token for its calls back, which no caller can send', async () => {
    await post('{"jsonrpc":"2.0","id":1,"method":"ping"}', { 'x-millrace-gateway-token': 'forged', 'mcp-protocol-version': '2025-06-18', origin: 'https://evil.example' });
    const [reached] = gateway.reached;
    expect(JSON.stringify(reached)).not.toContain('forged');
    expect(reached?.headers).toMatchObject({ 'x-millrace-gateway-token': expect.stringMatching(/^delegated:key_/), 'mcp-protocol-version': '2025-06-18', origin: 'https://evil.example' });
    expect(JSON.stringify(reached)).not.toContain(key);
  });

  it('refuses a message that is announced as longer than the service takes, before it reads it', async () => {
    const answer = await post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_products","arguments":{"query":"${'x'.repeat(MCP_MESSAGE_BYTES)}"}}}`);
    expect([answer.status, await answer.json(), gateway.reached.length]).toMatchObject([413, { code: 'body_too_large', detail: expect.stringContaining(String(MCP_MESSAGE_BYTES)) }, 0]);
    await eventually(() => gateway.audited.some(({ path, status }) => status === 413 && path === '/mcp'));
  });

  it('gives no other service that token', async () => {
    await fetch(`http://127.0.0.1:${gateway.port}/api/products/A`, { headers: { 'x-api-key': key } });
    expect([gateway.reached.length, JSON.stringify(gateway.reached)]).toEqual([1, expect.not.stringContaining('gateway-token')]);
  });

  it.each([['GET'], ['DELETE'], ['PUT']])('answers %s with 405', async (method) => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/mcp`, { method, headers: { 'x-api-key': key } });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('what the audit log gets of a message', () => {
  const result = (value: unknown): Buffer => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, result: value }));
  const state = (name: string) => result({ content: [], structuredContent: { data: { state: name } } });
  const refusal = (code: string) => result({ isError: true, content: [], _meta: { 'millrace/problem': { code } } });
  const rpcError = (code: number) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code, message: 'no' } }));
  it.each([
    { what: 'shown', body: state('preview'), path: 'preview' }, { what: 'done', body: state('done'), path: 'done' }, { what: 'declined', body: state('declined'), path: 'declined' },
    { what: 'refused', body: refusal('precondition_failed'), path: 'precondition_failed' },
    { what: 'refused in words that are no code', body: refusal('x/../y'), path: 'unknown' },
    { what: 'sent on to a service that was late', body: refusal('upstream_timeout'), path: 'unknown' }, { what: 'lost on the way back', body: refusal('upstream_unavailable'), path: 'unknown' }, { what: 'ended by a bug', body: refusal('internal'), path: 'unknown' },
    { what: 'ended by a bug of the server of tools', body: rpcError(-32_603), path: 'unknown' },
    { what: 'answered as nobody knows', body: Buffer.from('<html>'), path: 'unknown' },
  ])('is of a change of stock what became of it, and of which product: $what', async ({ body, path }) => {
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'update_stock', arguments: { sku: 'MR 1', stock: 2 } } };
    expect(await auditedOf(message, async () => ({ status: 200, headers: {}, body }))).toBe(`/mcp/tools/call/update_stock/${path}/MR%201`);
  });
  it('is refused where no tool was called', async () => {
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'update_stock', arguments: { sku: 'MR-1' }, task: 7 } };
    expect(await auditedOf(message, async () => ({ status: 200, headers: {}, body: rpcError(-32_602) }))).toBe('/mcp/tools/call/update_stock/refused');
  });

  const update = (sku: string) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'update_stock', arguments: { sku, stock: 2 } } });
  it.each(['forbidden', 'invalid_request', 'not_found', 'rate_limited', 'daily_cap', 'confirmation_refused'])('has no text of the caller where no product was found: %s', async (code) => {
    expect(await auditedOf(update('call 0912345678'), async () => ({ status: 200, headers: {}, body: refusal(code) }))).toBe(`/mcp/tools/call/update_stock/${code}`);
  });
  it.each([
    { what: 'refused', answer: async () => ({ status: 200, headers: {}, body: refusal('forbidden') }), path: 'forbidden' },
    { what: 'answered as nobody knows', answer: async () => ({ status: 202, headers: {}, body: Buffer.alloc(0) }), path: 'refused' },
    { what: 'lost', answer: async (): Promise<never> => { throw new Error('gone'); }, path: 'refused' },
  ])('has no text of a caller who may not change a stock, and says that nothing has changed: $what', async ({ answer, path }) => {
    expect(await auditedOf(update('call 0912345678'), answer, ['products:read'])).toBe(`/mcp/tools/call/update_stock/${path}`);
  });

  it('is unknown where the answer of a change of stock was lost, and names no argument of another tool', async () => {
    const lost = async (): Promise<never> => { throw new Error('gone'); };
    const message = (name: string) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: { sku: 'MR-1' } } });
    expect(await auditedOf(message('update_stock'), lost)).toBe('/mcp/tools/call/update_stock/unknown/MR-1');
    expect(await auditedOf(message('get_product'), lost)).toBe('/mcp/tools/call/get_product');
  });

  it('is of another operation the path, and of one that is longer than any that names something the beginning', async () => {
    const remove = (sku: string) => fetch(`http://127.0.0.1:${gateway.port}/api/products/${sku}`, { method: 'DELETE', headers: { 'x-api-key': gateway.key({ scopes: ['products:read'] }) } });
    const statuses = [await remove('A'), await remove('x'.repeat(15_000))].map(({ status }) => status);
    await eventually(() => gateway.audited.length === 2);
    expect([statuses, gateway.audited.map(({ path }) => path)]).toEqual([[403, 403], ['/api/products/A', `/api/products/${'x'.repeat(AUDITED_CHARACTERS)}`.slice(0, AUDITED_CHARACTERS - 1).concat('…')]]);
  });

  it('is the bare path where nobody has read it, and another operation as ever', () => {
    const req = { path: '/mcp' };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- two fields of a request are all that is read
    const of = (operation: Parameters<typeof auditPath>[0]) => auditPath(operation, req as Parameters<typeof auditPath>[1], 403);
    expect([of(callMcp), of({ ...listKeys, isPersonal: true })]).toEqual(['/mcp', listKeys.path]);
  });
});
