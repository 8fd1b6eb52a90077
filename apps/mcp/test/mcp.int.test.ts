import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { Client } from '@modelcontextprotocol/client';
import { startKit } from './mcp-kit.ts';
import type { Instance, Kit } from './mcp-kit.ts';

let kit: Kit;
let replicas: readonly Instance[];
beforeAll(async () => {
  kit = await startKit();
  replicas = await Promise.all([kit.start(), kit.start(), kit.start()]);
});
afterAll(() => kit.close());
beforeEach(() => {
  kit.shop.seen.length = 0;
  kit.shop.rows.set('MR-0001', { version: 5, stock: 12 });
});

interface Said { readonly isError: boolean; readonly text: string; readonly data: Record<string, unknown> }
async function call(client: Client, name: string, args: Record<string, unknown>): Promise<Said> {
  const { content: [content], isError, structuredContent } = await client.callTool({ name, arguments: args });
  const answered: unknown = structuredContent;
  const data: unknown = typeof answered === 'object' && answered !== null && 'data' in answered ? answered.data : undefined;
  return { isError: isError === true, text: content?.type === 'text' ? content.text : '', data: { ...(typeof data === 'object' ? data : {}) } };
}
const set = { sku: 'MR-0001', stock: 7 };

describe('three replicas behind round robin', () => {
  it('serve one client in turn: handshake, list, calls, resources and prompts, with nothing kept in one of them', async () => {
    const client = await kit.connect(replicas);
    expect(client.getServerVersion()).toMatchObject({ name: 'millrace' });
    for (let at = 0; at < 4; at += 1) expect((await client.listTools()).tools.map(({ name }) => name)).toContain('update_stock');
    for (let at = 0; at < 4; at += 1) expect((await call(client, 'get_product', { sku: 'MR-0001' })).data).toMatchObject({ product: { stock: 12 } });
    expect((await client.readResource({ uri: 'millrace://products/MR-0001' })).contents).toHaveLength(1);
    expect((await client.listPrompts()).prompts.length).toBeGreaterThan(0);
    for (const { logs } of replicas) expect(logs.join('')).not.toMatch(/"level":"(error|warn)"/);
  });

  it('call the API with the token of the caller, and with the id of the request', async () => {
    const [first] = replicas;
    const headers = await kit.headers();
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'get_product', arguments: { sku: 'MR-0001' } } });
    await fetch(first?.url ?? '', { method: 'POST', body, headers: { ...headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-request-id': 'request-7' } });
    expect(kit.shop.seen).toEqual([{ call: 'GET /api/products/MR-0001', token: headers['x-millrace-gateway-token'], requestId: 'request-7' }]);
  });

  it('take a confirmation that another one issued, once in all, also where all of them are asked at once', async () => {
    const client = await kit.connect(replicas);
    const { data: { confirm_token: token } } = await call(client, 'update_stock', set);
    const said = await Promise.all(Array.from({ length: 9 }, () => call(client, 'update_stock', { ...set, confirm_token: token })));
    expect(said.filter(({ data }) => data['state'] === 'done')).toHaveLength(1);
    expect(said.filter(({ isError, text }) => isError && text.startsWith('confirmation_used: '))).toHaveLength(8);
    expect(kit.shop.rows.get('MR-0001')).toEqual({ version: 6, stock: 7 });
  });

  it('refuse a confirmation of another caller or workspace, and for a product that has moved', async () => {
    const client = await kit.connect(replicas);
    const { data: { confirm_token: token } } = await call(client, 'update_stock', set);
    for (const other of [{ subject: 'key_2' }, { workspaceId: 'team' }]) expect((await call(await kit.connect(replicas, other), 'update_stock', { ...set, confirm_token: token })).text).toContain('made for another caller');
    kit.shop.rows.set('MR-0001', { version: 6, stock: 11 });
    expect((await call(client, 'update_stock', { ...set, confirm_token: token })).text).toMatch(/^precondition_failed: /);
    expect(kit.shop.rows.get('MR-0001')).toEqual({ version: 6, stock: 11 });
  });

  it('list and let call only what the scopes of the caller allow', async () => {
    const client = await kit.connect(replicas, { scopes: ['products:read'] });
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['get_product', 'check_stock', 'compare_products']);
    expect((await call(client, 'update_stock', set)).text).toBe('forbidden: update_stock needs the scope products:write, which this key does not have');
    expect(kit.shop.seen).toEqual([]);
  });

  it('count a cap of a day together, for each caller, and remember it when all of them were restarted', async () => {
    const variables = { MCP_TOOL_LIMITS: 'get_product=100/4' };
    const first = await Promise.all([kit.start(variables), kit.start(variables)]);
    const own = { subject: 'key_capped' };
    const capped = await kit.connect(first, own);
    const said = await Promise.all(Array.from({ length: 8 }, () => call(capped, 'get_product', { sku: 'MR-0001' })));
    expect(said.filter(({ isError }) => !isError)).toHaveLength(4);
    expect(said.filter(({ text }) => text.startsWith('daily_cap: get_product may be called no more: 4 calls a day'))).toHaveLength(4);
    for (const one of first) await one.close();
    const later = [await kit.start(variables)];
    expect((await call(await kit.connect(later, own), 'get_product', { sku: 'MR-0001' })).text).toMatch(/^daily_cap: /);
    expect((await call(await kit.connect(later, { subject: 'key_fresh' }), 'get_product', { sku: 'MR-0001' })).isError).toBe(false);
  });

  it('log and count each call, and nothing of what was asked', async () => {
    const one = await kit.start();
    const client = await kit.connect([one]);
    await call(client, 'get_product', { sku: 'MR-0001' });
    await call(client, 'get_product', { sku: 'no-such-sku' });
    const lines = one.logs.map((line): unknown => JSON.parse(line)).filter((line) => Object(line).msg === 'tool called');
    expect(lines).toEqual([{ outcome: 'ok' }, { outcome: 'not_found' }].map((line) => expect.objectContaining({ ...line, tool: 'get_product', caller: 'key_1' })));
    expect(one.logs.join('')).not.toMatch(/no-such-sku|MR-0001/);
    expect(await one.metrics.metrics()).toMatch(/mcp_tool_calls_total\{tool="get_product",outcome="not_found".*\} 1/);
  });
});

describe('without Redis', () => {
  it('tools that read go on within the caps of their instance, what shows persons or changes is refused, and all come back by themselves', async () => {
    const own = await startKit();
    try {
      const one = await own.start({ MCP_TOOL_LIMITS: 'get_product=100/2' });
      const client = await own.connect([one], { scopes: ['products:read', 'products:write', 'events:read'] });
      await own.redis.kill();
      for (let at = 0; at < 2; at += 1) expect((await call(client, 'get_product', { sku: 'MR-0001' })).isError).toBe(false);
      expect((await call(client, 'get_product', { sku: 'MR-0001' })).text).toMatch(/^daily_cap: /);
      expect((await call(client, 'customer_context', { user_id: '7' })).text).toMatch(/^unavailable: calls of customer_context cannot be counted now.*\(try again in 2 s\)$/);
      expect((await call(client, 'update_stock', set)).text).toMatch(/^unavailable: calls of update_stock cannot be counted now/);
      expect(own.shop.seen.map(({ call: asked }) => asked)).toEqual(Array.from({ length: 2 }, () => 'GET /api/products/MR-0001'));
      await own.redis.restart();
      await eventually(async () => (await call(client, 'update_stock', set)).data['state'] === 'preview');
    } finally {
      await own.close();
    }
  });
});
