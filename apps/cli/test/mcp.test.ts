import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { serveMcp } from '../src/commands/mcp.ts';
import { run } from '../src/run.ts';
import { startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

let gateway: FakeGateway | undefined;
afterEach(() => gateway?.close());

async function millrace(env: NodeJS.ProcessEnv): Promise<{ code: number; printed: string[]; errors: string[] }> {
  const [printed, errors]: [string[], string[]] = [[], []];
  const code = await run(['node', 'millrace', 'mcp'], env, { print: (line) => void printed.push(line), printError: (line) => void errors.push(line) });
  return { code, printed, errors };
}

describe('millrace mcp', () => {
  it('says on standard error alone what is missing: a key, the gateway, a key that it knows', async () => {
    expect(await millrace({})).toMatchObject({ code: 2, printed: [], errors: [expect.stringContaining('MILLRACE_API_KEY')] });
    expect(await millrace({ MILLRACE_URL: 'http://127.0.0.1:1', MILLRACE_API_KEY: 'mr_test' })).toMatchObject({ code: 1, printed: [] });
    gateway = await startFakeGateway(() => ({ status: 401, headers: { 'content-type': 'application/problem+json' }, body: { type: 'urn:x', title: 'x', status: 401, code: 'unauthenticated', detail: 'this API key is not known, or not any more' } }));
    expect(await millrace({ MILLRACE_URL: gateway.url, MILLRACE_API_KEY: 'mr_test' })).toEqual({ code: 1, printed: [], errors: ['this API key is not known, or not any more (unauthenticated)'] });
  });

  it('writes nothing but the protocol, asks with its own key, and ends when its client does', async () => {
    gateway = await startFakeGateway(({ path }) => ({ body: path === 'GET /api/me' ? { id: 'key_1', kind: 'secret', workspace_id: 'default', scopes: ['products:read'] } : { status: 404 } }));
    const [input, output] = [new PassThrough(), new PassThrough()];
    let written = '';
    output.on('data', (chunk: Buffer) => { written += chunk.toString(); });
    const served = serveMcp({ baseUrl: gateway.url, apiKey: 'mr_test' }, { printError: () => undefined, input, output });
    input.write('this is no message\n');
    for (const message of [
      { id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } } }, { method: 'notifications/initialized' }, { id: 2, method: 'tools/list' },
    ]) input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    await eventually(() => written.includes('compare_products'));
    input.end();
    await served;
    const messages = written.trim().split('\n').map((line): unknown => JSON.parse(line));
    expect(messages).toEqual([expect.objectContaining({ jsonrpc: '2.0', id: 1 }), expect.objectContaining({ jsonrpc: '2.0', id: 2 })]);
  });
});
