import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { callMcp } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { configSchema, toolLimitsOf } from '../src/config.ts';
import { startKit } from './mcp-kit.ts';
import type { Instance, Kit } from './mcp-kit.ts';

let kit: Kit;
let one: Instance;
beforeAll(async () => {
  kit = await startKit();
  one = await kit.start({ MCP_ORIGINS: 'https://desk.example' });
});
afterAll(() => kit.close());

const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const list = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
async function post(body: string | Buffer, headers: Record<string, string | undefined> = {}) {
  const all = Object.entries({ ...JSON_HEADERS, ...(await kit.headers()), ...headers }).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]));
  const answer = await fetch(one.url, { method: 'POST', body, headers: all });
  const text = await answer.text();
  return { status: answer.status, type: answer.headers.get('content-type'), body: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>) };
}
/** A message of the revision 2026-07-28, which says in itself who sends it. */
const modern = (method: string) => ({ ...list, method, params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientInfo': { name: 'desk', version: '1' }, 'io.modelcontextprotocol/clientCapabilities': {} } } });
const { responses }: Operation = callMcp;
/** As the API's document has it. */
const isDocumented = ({ status, body }: { readonly status: number; readonly body: unknown }): boolean => responses[status]?.schema?.safeParse(body).success === true;
const nested = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;

describe('a hostile body', () => {
  it.each([
    { what: 'nothing', body: '', status: 400, code: -32_700, says: 'empty' },
    { what: 'no JSON', body: '{"jsonrpc":', status: 400, code: -32_700, says: 'not valid JSON' },
    { what: 'a batch', body: JSON.stringify([list, list]), status: 400, code: -32_600, says: 'batches are not taken' },
    { what: 'an empty batch', body: '[]', status: 400, code: -32_600, says: 'batches are not taken' },
    { what: 'a text', body: '"tools/list"', status: 400, code: -32_600, says: 'JSON object' },
    { what: 'null', body: 'null', status: 400, code: -32_600, says: 'JSON object' },
    { what: 'no JSON-RPC', body: '{"hello":1}', status: 400, code: -32_600, says: '' },
    { what: 'another JSON-RPC', body: JSON.stringify({ ...list, jsonrpc: '1.0' }), status: 400, code: -32_600, says: '' },
    { what: 'something deep', body: JSON.stringify({ ...list, params: { a: 0 } }).replace('0}', `${nested(5_000)}}`), status: 400, code: -32_600, says: 'nested deeper than 32 levels' },
    { what: 'something large', body: JSON.stringify({ ...list, params: { a: 'x'.repeat(300_000) } }), status: 413, code: -32_000, says: 'at most 262144 bytes' },
    { what: 'an unknown method', body: JSON.stringify({ ...list, method: 'tools/destroy' }), status: 200, code: -32_601, says: 'not found' },
    { what: 'a subscription', body: JSON.stringify({ ...list, method: 'subscriptions/listen' }), status: 200, code: -32_601, says: 'nothing to subscribe to' },
    { what: 'arguments that are a list', body: JSON.stringify({ ...list, method: 'tools/call', params: { name: 'get_product', arguments: [1] } }), status: 200, code: -32_602, says: '' },
    { what: 'a name that is no text', body: JSON.stringify({ ...list, method: 'tools/call', params: { name: {} } }), status: 200, code: -32_602, says: '' },
  ])('with $what gets an error of JSON-RPC', async ({ body, status, code, says }) => {
    const answer = await post(body);
    expect({ status: answer.status, ...answer.body }).toMatchObject({ jsonrpc: '2.0', error: { code, message: expect.stringContaining(says) } });
    expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|\.ts:|\.mjs/);
    expect([answer.status, isDocumented(answer)]).toEqual([status, true]);
  });

  it.each([
    { what: 'another media type', headers: { 'content-type': 'text/plain' }, status: 415, code: -32_000 },
    { what: 'none', headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 415, code: -32_000 },
    { what: 'packed', headers: { 'content-encoding': 'gzip' }, status: 415, code: -32_000 },
    { what: 'another revision of the protocol', headers: { 'mcp-protocol-version': '1999-01-01' }, status: 400, code: -32_000 },
    { what: 'a wish for something else than JSON', headers: { accept: 'text/html' }, status: 406, code: -32_000 },
    { what: 'a page of somewhere else', headers: { origin: 'https://evil.example' }, status: 403, code: -32_000 },
    { what: 'a method that there is none of, by the newest revision', headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/destroy' }, body: modern('tools/destroy'), status: 404, code: -32_601 },
    { what: 'a page of nowhere', headers: { origin: 'null' }, status: 403, code: -32_000 },
  ])('sent as $what gets $status', async ({ headers, body = list, status, code }) => {
    const answer = await post(JSON.stringify(body), headers);
    expect([answer.status, answer.body]).toEqual([status, expect.objectContaining({ jsonrpc: '2.0', error: expect.objectContaining({ code }) })]);
    expect(isDocumented(answer)).toBe(true);
  });

  it('does not hold up the good ones: the next message is answered, as JSON, and a known page is let in', async () => {
    for (const headers of [{}, { origin: 'https://desk.example' }, { 'mcp-protocol-version': '2025-06-18' }]) {
      const answer = await post(JSON.stringify(list), headers);
      expect([answer.status, answer.type, answer.body]).toEqual([200, expect.stringContaining('application/json'), expect.objectContaining({ id: 7, result: expect.objectContaining({ tools: expect.any(Array) }) })]);
    }
  });

  it('that is a notification is taken without an answer', async () => {
    expect(await post(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }))).toMatchObject({ status: 202, body: undefined });
  });
});

describe('another method', () => {
  it.each(['GET', 'DELETE', 'PUT'])('%s is 405: there are no sessions', async (method) => {
    const answer = await fetch(one.url, { method, headers: { ...(await kit.headers()), accept: 'text/event-stream' } });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('a call that is not of the gateway', () => {
  it.each([
    { what: 'no token', headers: async () => ({ authorization: undefined }) },
    { what: 'a forged token', headers: async () => ({ authorization: 'Bearer a.b.c' }) },
    { what: 'a token for another service', headers: async () => ({ authorization: `Bearer ${await kit.sign('gateway', 'pos')}` }) },
    { what: 'no token for the gateway', headers: async () => ({ 'x-millrace-gateway-token': undefined }) },
    { what: 'a forged token for the gateway', headers: async () => ({ 'x-millrace-gateway-token': 'a.b.c' }) },
    { what: 'a token for the gateway that is for somebody else', headers: async () => ({ 'x-millrace-gateway-token': await kit.sign('gateway', 'mcp') }) },
    { what: 'a token for the gateway that another service signed', headers: async () => ({ 'x-millrace-gateway-token': await kit.sign('pos', 'gateway') }) },
    { what: 'a token for the gateway of another caller', headers: async () => ({ 'x-millrace-gateway-token': await kit.sign('gateway', 'gateway', { subject: 'key_2' }) }) },
    { what: 'a token for the gateway of another workspace', headers: async () => ({ 'x-millrace-gateway-token': await kit.sign('gateway', 'gateway', { workspaceId: 'team' }) }) },
  ])('is refused: $what', async ({ headers }) => {
    expect((await post(JSON.stringify(list), await headers())).status).toBe(401);
  });

  it('is refused where another service signed it', async () => {
    expect((await post(JSON.stringify(list), { authorization: `Bearer ${await kit.sign('pos', 'mcp')}` })).status).toBe(403);
  });
});

describe('its configuration', () => {
  const base = { INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-' };
  it('has limits by tool', () => {
    expect(toolLimitsOf(configSchema.parse({ ...base, MCP_TOOL_LIMITS: 'update_stock=1/2, get_product=3/4' }))).toEqual({ update_stock: { perMinute: 1, perDay: 2 }, get_product: { perMinute: 3, perDay: 4 } });
  });
  it.each([{ MCP_TOOL_LIMITS: 'sell_all=1/2' }, { MCP_TOOL_LIMITS: 'get_product=1' }, { MCP_TOOL_LIMITS: 'get_product=-1/2' }, { MCP_ORIGINS: 'desk.example' }, { MCP_ORIGINS: 'https://desk.example/' }, { GATEWAY_URL: 'ftp://x' }])('refuses %j', (variables) => {
    expect(configSchema.safeParse({ ...base, ...variables }).success).toBe(false);
  });
});
