import { callMcp, listKeys } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { auditPath } from '../src/mcp/mcp-policy.ts';
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

describe('POST /mcp at the gateway', () => {
  it('reaches the service with a token for its calls back, which no caller can send', async () => {
    await post('{"jsonrpc":"2.0","id":1,"method":"ping"}', { 'x-millrace-gateway-token': 'forged', 'mcp-protocol-version': '2025-06-18', origin: 'https://evil.example' });
    const [reached] = gateway.reached;
    expect(JSON.stringify(reached)).not.toContain('forged');
    expect(reached?.headers).toMatchObject({ 'x-millrace-gateway-token': expect.stringMatching(/^delegated:key_/), 'mcp-protocol-version': '2025-06-18', origin: 'https://evil.example' });
    expect(JSON.stringify(reached)).not.toContain(key);
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
  it('is the bare path where nobody has read it, and another operation as ever', () => {
    const req = { path: '/mcp' };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- two fields of a request are all that is read
    const of = (operation: Parameters<typeof auditPath>[0]) => auditPath(operation, req as Parameters<typeof auditPath>[1], 403);
    expect([of(callMcp), of({ ...listKeys, isPersonal: true })]).toEqual(['/mcp', listKeys.path]);
  });
});
