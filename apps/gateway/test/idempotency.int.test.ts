import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { operations as publicOperations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { closeRedis, connectRedis, createKeys, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually, startRedisServer, testServer, uniqueName } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { z } from 'zod';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { checkRepetitions, idempotencyPolicy, KEPT_BYTES } from '../src/idempotency/idempotency.policy.ts';
import { createIdempotencyStore } from '../src/idempotency/idempotency-store.ts';
import { localRoute } from '../src/local-route.ts';
import { createUpstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';

const operation = (over: Partial<Operation>): Operation => ({ operationId: 'create', method: 'post', path: '/api/things', service: 'svc', scope: 'products:write', summary: '', responses: {}, ...over });
const start = { operationId: 'start', method: 'post', path: '/api/jobs', service: 'gateway', scope: 'products:write', summary: '', responses: {}, body: z.strictObject({ name: z.string() }) } as const satisfies Operation;
const operations = [operation({}), operation({ operationId: 'slow', path: '/api/slow', timeoutMs: 500 }), operation({ operationId: 'log', path: '/api/log' }), operation({ operationId: 'secret', path: '/api/secrets', holdsSecret: true }), operation({ operationId: 'gone', path: '/api/gone', service: 'gone' }), start];
const table = { create: 'keyed', slow: 'keyed', start: 'keyed', log: 'safe', secret: 'keyed', gone: 'keyed' } as const;
const keys = { one: createApiKey(), other: createApiKey(), anna: createApiKey(), namesake: createApiKey(), lesser: createApiKey() };
const owners = new Map(Object.entries(keys).map(([id, key]) => [hashApiKey(key), { id, kind: 'secret' as const, workspaceId: 'default', scopes: ['products:write'], isDevelopment: false }]));
for (const [name, workspaceId] of [['anna', 'default'], ['namesake', 'acme']] as const) owners.set(hashApiKey(keys[name]), { id: 'user:anna', kind: 'secret', workspaceId, scopes: ['products:write'], isDevelopment: false });
owners.set(hashApiKey(keys.lesser), { id: 'one', kind: 'secret', workspaceId: 'default', scopes: ['products:read'], isDevelopment: false });
const logger = createLogger('test', 'silent');
const connect = (url: string): Redis => connectRedis(url, { role: 'request', name: 'gateway test' });
const shared = connect(testServer('redis'));

/** What the service does with the next request; its number is what it answers else. */
let answerNext: ((req: IncomingMessage, res: ServerResponse) => void) | undefined;
let effects = 0;
let jobs = 0;
let service: Server;
const servers: HttpServer[] = [];
const closing: (() => Promise<unknown>)[] = [];
let own: RedisServer;

const finish = (res: ServerResponse, status: number, body: string): void => void res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), etag: '"1.1"' }).end(body);

async function serve(redis: Redis): Promise<HttpServer> {
  const address = service.address();
  const upstream = createUpstream('svc', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  const gone = createUpstream('gone', 'http://127.0.0.1:1');
  closing.push(() => upstream.close(), () => gone.close());
  const local = localRoute(start, async ({ body }) => { jobs += 1; return { status: 202, body: { job: jobs, name: body.name }, headers: { Location: `/api/jobs/${jobs}` } }; });
  const routes = routeTable({
    operations, upstreams: { svc: upstream, gone }, local, logger, signer: { sign: async () => 'token' }, audit: async () => undefined,
    authenticate: createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => owners.get(hash) }),
    policies: [idempotencyPolicy({ store: createIdempotencyStore(redis, createKeys()), logger, table })],
  });
  const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  servers.push(server);
  return server;
}

beforeAll(async () => {
  service = createServer((req, res) => {
    req.resume().once('end', () => {
      effects += 1;
      const answer = answerNext ?? ((_req, out: ServerResponse) => finish(out, 201, JSON.stringify({ effect: effects })));
      answerNext = undefined;
      answer(req, res);
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  own = await startRedisServer();
  const breakable = connect(own.url);
  closing.push(() => closeRedis(breakable));
  await Promise.all([whenReady(shared), whenReady(breakable)]);
  await serve(shared);
  await serve(shared);
  await serve(breakable);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close(0)));
  await Promise.all(closing.map((close) => close()));
  await closeRedis(shared);
  await own.stop();
  service.closeAllConnections();
  service.close();
});

interface Sent { readonly key?: string; readonly body?: unknown; readonly path?: string; readonly as?: keyof typeof keys; readonly at?: number; readonly user?: string; readonly signal?: AbortSignal }
async function post({ key, body = { a: 1 }, path = '/api/things', as = 'one', at = 0, user, signal }: Sent) {
  const headers = { 'content-type': 'application/json', 'x-api-key': keys[as], ...(key !== undefined && { 'idempotency-key': key }), ...(user !== undefined && { 'x-user-id': user }) };
  const answer = await fetch(`http://127.0.0.1:${servers[at]?.port ?? 0}${path}`, { method: 'POST', headers, body: JSON.stringify(body), ...(signal && { signal }) });
  const text = await answer.text();
  const parsed: unknown = text === '' ? undefined : JSON.parse(text);
  return { status: answer.status, body: parsed, headers: answer.headers };
}
/** A request whose answer the test gives. */
async function begin(sent: Sent) {
  const { promise: arrived, resolve } = Promise.withResolvers<ServerResponse>();
  answerNext = (_req, res) => resolve(res);
  const answer = post(sent);
  answer.catch(() => undefined);
  return { res: await arrived, answer };
}

describe('the table of repetitions', () => {
  it('names every POST and PATCH of the API, and no operation that does not exist', () => {
    checkRepetitions(publicOperations);
    const policy = idempotencyPolicy({ store: createIdempotencyStore(shared, createKeys()), logger });
    expect(publicOperations.map((each) => policy(each, async () => undefined))).toHaveLength(publicOperations.length);
  });
  it('stops the gateway where an operation is missing, unknown, or streams its body under a key', () => {
    const policy = idempotencyPolicy({ store: createIdempotencyStore(shared, createKeys()), logger, table });
    expect(() => policy(operation({ operationId: 'forgotten' }), async () => undefined)).toThrow(/forgotten is a POST/);
    expect(() => policy(operation({ streams: ['text/csv'] }), async () => undefined)).toThrow(/streams its body/);
    expect(() => checkRepetitions(operations, { ...table, misspelt: 'keyed' })).toThrow(/unknown operation misspelt/);
  });
});

describe('Idempotency-Key at the gateway', () => {
  it('answers a repeated request what the first one answered, on every instance, without asking the service', async () => {
    const key = uniqueName('key');
    const first = await post({ key });
    const before = effects;
    for (const at of [0, 1]) {
      const again = await post({ key, at });
      expect([again.status, again.body, again.headers.get('etag'), again.headers.get('idempotency-replayed'), again.headers.get('idempotent-replayed')]).toEqual([201, first.body, '"1.1"', 'true', 'true']);
      expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'));
    }
    expect([effects, first.headers.get('idempotency-replayed')]).toEqual([before, null]);
  });
  it('has one effect for many requests at once over two instances; the others get 409 with Retry-After, or the answer', async () => {
    const key = uniqueName('key');
    const before = effects;
    const answers = await Promise.all(Array.from({ length: 20 }, (_none, n) => post({ key, at: n % 2 })));
    for (const { status, headers, body } of answers) if (status !== 201) expect([status, headers.get('retry-after'), body]).toEqual([409, '1', expect.objectContaining({ code: 'conflict' })]);
    expect([effects - before, answers.some(({ status }) => status === 201)]).toEqual([1, true]);
  });
  it.each([['body', { body: { a: 2 } }], ['address', { path: '/api/things?x=1' }], ['operation', { path: '/api/jobs', body: { name: 'x' } }], ['user', { user: 'customer-81' }]])('refuses the key for a request with another %s, also while the first runs', async (_what, other) => {
    const key = uniqueName('key');
    const { res, answer } = await begin({ key });
    const refused = { status: 422, body: expect.objectContaining({ code: 'idempotency_mismatch', pointer: '/idempotency-key' }) };
    expect(await post({ key, ...other })).toMatchObject(refused);
    finish(res, 201, '{}');
    await answer;
    expect(await post({ key, ...other })).toMatchObject(refused);
  });
  it('keeps the keys of callers apart', async () => {
    const key = uniqueName('key');
    expect((await post({ key })).body).not.toEqual((await post({ key, as: 'other' })).body);
  });
  it('keeps people of the same name in two workspaces apart, and answers nothing to a key that has lost the scope since', async () => {
    const key = uniqueName('key');
    expect((await post({ key, as: 'anna' })).body).not.toEqual((await post({ key, as: 'namesake' })).body);
    await post({ key });
    expect((await post({ key, as: 'lesser' })).status).toBe(403);
  });
  it('holds the key where the connection broke after the request was sent, and not where there was none', async () => {
    const key = uniqueName('key');
    const { res, answer } = await begin({ key });
    res.socket?.destroy();
    expect((await answer).status).toBe(502);
    expect(await post({ key })).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const unsent = { key: uniqueName('key'), path: '/api/gone' };
    expect([(await post(unsent)).status, (await post(unsent)).status]).toEqual([502, 502]);
  });
  it('does not remember what failed: the request may be sent again', async () => {
    for (const status of [400, 409, 500, 503]) {
      const key = uniqueName('key');
      const { res, answer } = await begin({ key });
      finish(res, status, '{}');
      expect((await answer).status).toBe(status);
      expect((await post({ key })).status).toBe(201);
    }
  });
  it('holds the key where the service was silent and may still be at work', async () => {
    const sent = { key: uniqueName('key'), path: '/api/slow' };
    const { answer } = await begin(sent);
    expect((await answer).status).toBe(504);
    expect(await post(sent)).toMatchObject({ status: 409, body: { code: 'conflict' } });
  });
  it('keeps the answer for a caller that has gone before it came', async () => {
    const key = uniqueName('key');
    const gone = new AbortController();
    const { res, answer } = await begin({ key, signal: gone.signal });
    gone.abort();
    await expect(answer).rejects.toThrow();
    finish(res, 201, '{"late":true}');
    const before = effects;
    await eventually(async () => (await post({ key })).status === 201);
    expect([(await post({ key })).body, effects]).toEqual([{ late: true }, before]);
  });
  it('does nothing twice where the answer is too long to be kept, and says so', async () => {
    for (const length of [KEPT_BYTES, 2_000_000]) {
      const key = uniqueName('key');
      const { res, answer } = await begin({ key });
      finish(res, 201, JSON.stringify('x'.repeat(length)));
      expect((await answer).status).toBe(201);
      const before = effects;
      expect(await post({ key })).toMatchObject({ status: 409, body: { detail: expect.stringContaining('was not kept') } });
      expect(effects).toBe(before);
    }
  });
  it('keeps no answer with a secret, and does nothing twice all the same', async () => {
    const sent = { key: uniqueName('key'), path: '/api/secrets' };
    const secret = uniqueName('secret');
    answerNext = (_req, res) => finish(res, 201, JSON.stringify({ key: secret }));
    expect((await post(sent)).body).toEqual({ key: secret });
    const before = effects;
    expect(await post(sent)).toMatchObject({ status: 409, body: { detail: expect.stringContaining('held a secret') } });
    expect(effects).toBe(before);
    const entries = await shared.keys('idempotency:*');
    expect(entries).not.toEqual([]);
    expect(JSON.stringify(await Promise.all(entries.map((entry) => shared.hgetall(entry))))).not.toContain(secret);
  });
  it('works the same for what the gateway does itself', async () => {
    const sent = { key: uniqueName('key'), path: '/api/jobs', body: { name: 'x' } };
    const first = await post(sent);
    const again = await post({ ...sent, at: 1 });
    expect([first.status, again.status, again.body, again.headers.get('location'), again.headers.get('idempotency-replayed')]).toEqual([202, 202, first.body, first.headers.get('location'), 'true']);
    expect(await post({ ...sent, key: uniqueName('key'), body: { nam: 'x' } })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: '/name' } });
  });
  it('leaves requests without a key alone, and operations that are safe to repeat', async () => {
    const before = effects;
    const key = uniqueName('key');
    for (const sent of [{}, {}, { key, path: '/api/log' }, { key, path: '/api/log' }]) expect((await post(sent)).headers.get('idempotency-replayed')).toBeNull();
    expect(effects - before).toBe(4);
  });
  it.each([['', '/idempotency-key'], ['x'.repeat(256), '/idempotency-key']])('refuses the key %p', async (key, pointer) => {
    expect(await post({ key })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
  });
  it('refuses a new key while Redis is full, before any effect, keeps what was done although it is full by then, and answers it again', async () => {
    const key = uniqueName('key');
    const admin = connect(own.url);
    await whenReady(admin);
    const { res, answer } = await begin({ key, at: 2 });
    await admin.config('SET', 'maxmemory', '1');
    finish(res, 201, '{"kept":true}');
    expect((await answer).status).toBe(201);
    const before = effects;
    const again = await post({ key, at: 2 });
    expect([again.status, again.body, again.headers.get('idempotency-replayed')]).toEqual([201, { kept: true }, 'true']);
    expect([(await post({ key: uniqueName('key'), at: 2 })).status, effects]).toEqual([503, before]);
    await admin.config('SET', 'maxmemory', '0');
    await closeRedis(admin);
  });
  it('refuses a request with a key while Redis is away, before any effect, and serves those without', async () => {
    const key = uniqueName('key');
    expect((await post({ key, at: 2 })).status).toBe(201);
    await own.kill();
    const before = effects;
    await eventually(async () => (await post({ key: uniqueName('key'), at: 2 })).status === 503);
    const refused = await post({ key, at: 2 });
    expect([refused.status, refused.headers.get('retry-after'), refused.body]).toEqual([503, '1', expect.objectContaining({ code: 'unavailable' })]);
    expect(effects).toBe(before);
    expect((await post({ at: 2 })).status).toBe(201);
  });
});
