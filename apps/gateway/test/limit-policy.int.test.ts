import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { operations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, startTunnel, testServer, uniqueName } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { createLimitSet, createLimitTable, limitRules } from '../src/limits/limit-table.ts';
import type { LimitSettings } from '../src/limits/limit-table.ts';
import { openLimits } from '../src/limits/open-limits.ts';
import type { Limits } from '../src/limits/open-limits.ts';
import { routeTable } from '../src/route-table.ts';

const settings: LimitSettings = { readsPerMinute: 20, writesPerMinute: 20, eventsPerMinute: 20, jobsPerMinute: 10, workspacePerMinute: 21, userPerMinute: 15, chatPerMinute: 2, mcpPerMinute: 1, mcpConnections: 3, isStrict: true };
const operation = (over: Partial<Operation>): Operation => ({ operationId: 'read', method: 'get', path: '/api/things', service: 'svc', scope: 'products:read', summary: '', responses: {}, ...over });
const served = [
  ...operations.map((one) => ({ ...one, service: 'svc' })),
  operation({}),
];

const metrics = createMetrics('test');
const logger = createLogger('test', 'silent');
let tunnel: Tunnel;
let limits: Limits;
let server: HttpServer;
let passed = 0;

beforeAll(async () => {
  tunnel = await startTunnel(testServer('redis'));
  limits = openLimits({ redisUrl: tunnel.url, operations: served, settings, logger, metrics, timeoutMs: 20_000 });
  const answer = { forward: async () => { passed += 1; return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from('{}') }; }, endFeeds: () => undefined, close: async () => undefined };
  const authenticate = async (key: string | undefined) => ({ id: key ?? '', kind: 'secret' as const, workspaceId: key?.split('~', 1)[0] ?? '', scopes: ['products:read', 'products:write', 'ut360:read', 'pii:read', 'admin', 'ops', 'ut360:write', 'sessions'], isDevelopment: key === 'development' });
  const routes = routeTable({ operations: served, upstreams: { svc: answer }, local: {}, policies: [limits.policy], authenticate, logger, signer: { sign: async () => '' }, audit: async () => undefined });
  server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  await eventually(async () => {
    await call('/api/things', uniqueName('key'));
    return /^rate_limit_decisions_total\{by="redis"/m.test(await metrics.metrics());
  });
});
afterAll(async () => {
  await server.close(0);
  await limits.close();
  tunnel.close();
});

const call = async (path: string, key: string, { method = 'GET', headers = {} }: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {}) => {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { 'x-api-key': key, ...headers } });
  const body: unknown = await response.json();
  return { status: response.status, body, header: (name: string) => response.headers.get(name) };
};

describe('rate limits at the gateway', () => {
  it('says what is left, and answers 429 without asking the service when nothing is', async () => {
    const key = uniqueName('key');
    const first = await call('/api/things', key);
    expect([first.header('ratelimit-policy'), first.header('ratelimit')]).toEqual(['"reads";q=20;w=60, "workspace";q=21;w=60', '"reads";r=19;t=3, "workspace";r=20;t=3']);
    let [before, refused] = [passed, first];
    // Twice in a row: by Redis, then from memory. A machine that is slow lets in one more meanwhile.
    for (let refusals = 0; refusals < 2; refusals = refused.status === 429 ? refusals + 1 : 0) [before, refused] = [passed, await call('/api/things', key)];
    expect(passed).toBe(before);
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', type: 'urn:millrace:problem:rate_limited', status: 429 } });
    expect(refused.header('retry-after')).toMatch(/^[1-3]$/);
    expect(refused.header('ratelimit')).toBe(`"reads";r=0;t=${refused.header('retry-after')}`);
    expect(await metrics.metrics()).toMatch(/rate_limit_refusals_total\{limit="reads",service="test"\} [1-9]/);
  });
  it('counts users of a key, and its routes, by themselves', async () => {
    const key = uniqueName('key');
    const asUser = (user: string) => call('/api/things', key, { headers: { 'x-user-id': user } });
    expect((await asUser('a')).header('ratelimit')).toBe('"reads";r=19;t=3, "workspace";r=20;t=3, "user";r=14;t=4');
    expect((await asUser('b')).header('ratelimit')).toBe('"reads";r=18;t=3, "workspace";r=19;t=3, "user";r=14;t=4');
    expect((await call('/api/sync/verify', key, { method: 'POST' })).header('ratelimit') ?? '').not.toContain('user');
  });
  it('counts all keys of a workspace together', async () => {
    const workspace = uniqueName('workspace');
    expect((await call('/api/things', `${workspace}~a`)).header('ratelimit')).toBe('"reads";r=19;t=3, "workspace";r=20;t=3');
    expect((await call('/api/things', `${workspace}~b`)).header('ratelimit')).toBe('"reads";r=19;t=3, "workspace";r=19;t=3');
  });
  it('takes the declared cost of an operation', async () => {
    const answer = await call('/api/ut360/lookup', uniqueName('key'), { method: 'POST' });
    expect(answer.header('ratelimit')).toBe('"reads";r=10;t=3, "workspace";r=11;t=3');
  });
  it('counts chat messages of a user in a window, over all keys of a workspace', async () => {
    const user = uniqueName('user');
    const say = (workspace = 'default') => call('/api/sessions/1/messages', `${workspace}~${uniqueName('key')}`, { method: 'POST', headers: { 'x-user-id': user } });
    expect([(await say()).status, (await say()).status]).toEqual([200, 200]);
    const refused = await say();
    expect(refused.status).toBe(429);
    expect(refused.header('ratelimit')).toContain('"chat";r=0;t=');
    // Another tenant's user of that name is somebody else.
    expect((await say(uniqueName('tenant'))).header('ratelimit')).toContain('"chat";r=1;t=');
  });
  it('counts MCP calls of a connection: key and client', async () => {
    const res = { setHeader: () => server };
    const res2 = Object.assign(Object.create(null), res);
    const owner = { id: uniqueName('user:x'), workspaceId: 'default' };
    await limits.takeMcp({ owner, client: 'one' }, res2);
    await limits.takeMcp({ owner, client: 'two' }, res2);
    await expect(limits.takeMcp({ owner, client: 'one' }, res2)).rejects.toMatchObject({ code: 'rate_limited' });
    // A name that a client chooses never makes it somebody else.
    await limits.takeMcp({ owner, client: 'b:c' }, res2);
    await limits.takeMcp({ owner: { ...owner, id: `${owner.id}:b` }, client: 'c' }, res2);
    // Another tenant's user of that id is somebody else.
    await limits.takeMcp({ owner: { ...owner, workspaceId: uniqueName('tenant') }, client: 'one' }, res2);
  });
  it('bounds the MCP calls of a key, whatever its clients call themselves', async () => {
    const key = uniqueName('key');
    const said = [];
    // The policy has not read the name: it counts the key.
    for (let at = 0; at < 4; at += 1) said.push(await call('/mcp', key, { method: 'POST', headers: { 'user-agent': `client-${at}` } }));
    expect(said.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(said.at(-1)?.header('ratelimit')).toMatch(/^"mcp_key";r=0;t=\d+$/);
    expect((await call('/mcp', uniqueName('key'), { method: 'POST' })).status).toBe(200);
  });
  it('never limits a development key', async () => {
    for (let at = 0; at < 25; at += 1) expect((await call('/api/things', 'development')).status).toBe(200);
  });
  it('answers 503 above its share while Redis is away', async () => {
    tunnel.drop(true);
    const key = uniqueName('key');
    let last = await call('/api/things', key);
    expect(last.status).toBe(200);
    while (last.status === 200) last = await call('/api/things', key);
    expect(last).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(last.header('retry-after')).toMatch(/^\d+$/);
    tunnel.drop(false);
    await eventually(async () => (await call('/api/things', uniqueName('key'))).status === 200);
  });
});

describe('the table of limits', () => {
  const set = createLimitSet(settings);
  it('stops the gateway where it names an operation that there is none of', () => {
    expect(() => createLimitTable(operations, set, { ...limitRules, nothing: { cost: 2 } })).toThrow('rate limits name unknown operations: nothing');
  });
  it('stops the gateway where a call costs more than its limit ever has', () => {
    expect(() => createLimitTable(operations, set, { ...limitRules, getProduct: { cost: 21 } })).toThrow(/getProduct costs 21 units, and the limit reads has only 20/);
  });
  it('limits every operation', () => {
    const limitsOf = createLimitTable(operations, set);
    expect(operations.filter((one) => limitsOf(one).limits.length === 0)).toEqual([]);
  });
});
