import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { MCP_MESSAGE_BYTES } from '@millrace/contracts';
import express from 'express';
import { readMcpCall } from '../src/mcp/mcp-call.ts';
import type { McpCall } from '../src/mcp/mcp-call.ts';

/** What is read of a request that was really sent. */
async function read(body: string | ReadableStream, headers: Readonly<Record<string, string>> = {}): Promise<McpCall> {
  const calls: Promise<McpCall>[] = [];
  const app = express().post('/', (req, res) => {
    const call = readMcpCall(req, res);
    calls.push(call);
    call.catch(() => undefined).finally(() => res.end());
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of a server that listens on a port
  const { port } = server.address() as AddressInfo;
  await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, duplex: 'half', headers: { 'user-agent': 'agent/1', ...headers } });
  server.close();
  const [call] = calls;
  if (!call) throw new Error('nothing was read');
  return call;
}
const message = (method: string, params: unknown): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });

describe('what the gateway reads of a message', () => {
  it.each([
    { what: 'a call of a tool', body: message('tools/call', { name: 'search_products', arguments: { query: 'x' } }), audited: 'tools/call/search_products' },
    { what: 'a call of a tool with a name that is a text', body: message('tools/call', { name: 'a b/../c' }), audited: 'tools/call/unknown_tool' },
    { what: 'a call of a tool that there is not', body: message('tools/call', { name: 'call_0912345678' }), audited: 'tools/call/unknown_tool' },
    { what: 'a call of a tool whose name is of every object', body: message('tools/call', { name: 'constructor' }), audited: 'tools/call/unknown_tool' },
    { what: 'a prompt', body: message('prompts/get', { name: 'sales_talk', arguments: { need: 'private' } }), audited: 'prompts/get/sales_talk' },
    { what: 'a prompt that there is not', body: message('prompts/get', { name: 'call_0912345678' }), audited: 'prompts/get/unknown_prompt' },
    { what: 'a resource', body: message('resources/read', { uri: 'millrace://products/A' }), audited: 'resources/read' },
    { what: 'a list', body: message('tools/list', {}), audited: undefined },
    { what: 'no JSON', body: '{', audited: undefined }, { what: 'null', body: 'null', audited: undefined }, { what: 'a batch', body: `[${message('tools/call', { name: 'x' })}]`, audited: undefined }, { what: 'no parameters', body: message('tools/call', null), audited: 'tools/call/unknown_tool' },
    { what: 'a call with deep arguments', body: `{"method":"tools/call","params":{"name":"search_products","arguments":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`, audited: 'tools/call/search_products' },
    { what: 'something deep', body: `${'['.repeat(50_000)}${']'.repeat(50_000)}`, audited: undefined },
  ])('is of $what the method and one of our own names: $audited', async ({ body, audited }) => expect((await read(body)).audited).toBe(audited));

  it('is nothing of a message that turns out longer than the service takes: it is not parsed', async () => {
    const text = message('tools/call', { name: 'x', arguments: 'x'.repeat(MCP_MESSAGE_BYTES) });
    await expect(read(new Blob([text]).stream())).rejects.toMatchObject({ code: 'body_too_large' });
  });

  it.each([
    { what: 'one that may change a stock', params: { name: 'update_stock', arguments: { sku: 'MR 1', stock: 2 } }, stock: { sku: 'MR 1' } },
    { what: 'one whose sku no product can have', params: { name: 'update_stock', arguments: { sku: 'a/b' } }, stock: { sku: undefined } },
    { what: 'any other', params: { name: 'get_product', arguments: { sku: 'MR-1' } }, stock: undefined },
  ])('is of a call the sku only where it is $what', async ({ params, stock }) => expect((await read(message('tools/call', params))).stock).toEqual(stock));

  it.each([
    { what: 'the handshake', body: message('initialize', { clientInfo: { name: 'desk' } }), client: 'desk' },
    { what: 'a message that says who sends it', body: message('tools/list', { _meta: { 'io.modelcontextprotocol/clientInfo': { name: 'desk' } } }), client: 'desk' },
    { what: 'one that does not', body: message('tools/list', {}), client: 'agent/1' },
    { what: 'a name with control characters, too long', body: message('initialize', { clientInfo: { name: `a\u0000\n:${'b'.repeat(200)}` } }), client: `a:${'b'.repeat(98)}` },
    { what: 'a name that is none', body: message('initialize', { clientInfo: { name: 7 } }), client: 'agent/1' },
  ])('is the program that calls, by $what', async ({ body, client }) => expect((await read(body)).client).toBe(client));
});
