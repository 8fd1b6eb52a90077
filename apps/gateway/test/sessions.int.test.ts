import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { erasureReceipts, SESSION_LIMITS, sessionOperations } from '@millrace/contracts';
import type { UserErasure } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { closeRedis, connectRedis, createKeys, whenReady } from '@millrace/redis-kit';
import { createApiKey, createLogger, createMetrics, hashApiKey } from '@millrace/service';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { idempotencyPolicy } from '../src/idempotency/idempotency.policy.ts';
import { createIdempotencyStore } from '../src/idempotency/idempotency-store.ts';
import { routeTable } from '../src/route-table.ts';
import { eraseUsers } from '../src/erase-users.ts';
import { createSessionStore } from '../src/sessions/session-store.ts';
import { sessionRoutes } from '../src/sessions/sessions.routes.ts';

const url = testServer('redis');
const logger = createLogger('test', 'silent');
const redis = connectRedis(url, { role: 'request', name: 'sessions test', commandTimeoutMs: 20_000 });
const away = connectRedis('redis://127.0.0.1:1', { role: 'request', name: 'sessions test' });
const apiKeys = { one: createApiKey(), other: createApiKey(), without: createApiKey(), anna: createApiKey(), namesake: createApiKey(), longer: createApiKey() };
const owners = new Map(Object.entries(apiKeys).map(([id, key]) => [hashApiKey(key), { id: uniqueName(id), kind: 'secret' as const, workspaceId: 'default', scopes: id === 'without' ? ['search:read'] : ['sessions'], isDevelopment: false }]));
const person = uniqueName('user:anna');
for (const [name, id, workspaceId] of [['anna', person, 'default'], ['namesake', person, 'acme'], ['longer', `${person}/x`, 'default']] as const)
  owners.set(hashApiKey(apiKeys[name]), { id, kind: 'secret', workspaceId, scopes: ['sessions'], isDevelopment: false });
const storeOf = (connection: typeof redis, ttlMs = 60_000) => createSessionStore({ redis: connection, keys: createKeys(), ttlMs });
const servers: HttpServer[] = [];

async function serve(connection: typeof redis, ttlMs?: number): Promise<void> {
  const routes = routeTable({
    operations: sessionOperations, upstreams: {}, local: sessionRoutes(storeOf(connection, ttlMs)), logger, signer: { sign: async () => '' }, audit: async () => undefined,
    authenticate: createAuthenticateKey({ isProduction: true, findKeyOwner: async (hash) => owners.get(hash) }),
    policies: [idempotencyPolicy({ store: createIdempotencyStore(connection, createKeys()), logger })],
  });
  servers.push(await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 }));
}
beforeAll(async () => {
  await whenReady(redis);
  for (const connection of [redis, redis, away]) await serve(connection);
  await serve(redis, 100);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close(0)));
  await Promise.all([closeRedis(redis), closeRedis(away)]);
});

interface Sent { readonly user?: string; readonly as?: keyof typeof apiKeys; readonly at?: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
async function call(method: string, path: string, { user = 'customer-81', as = 'one', at = 0, body, headers }: Sent = {}) {
  const all = { 'x-api-key': apiKeys[as], 'x-user-id': user, 'content-type': 'application/json', ...headers };
  const answer = await fetch(`http://127.0.0.1:${servers[at]?.port ?? 0}/api/sessions${path}`, { method, headers: all, ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }) });
  const text = await answer.text();
  const parsed: Record<string, unknown> = text === '' ? {} : JSON.parse(text);
  return { status: answer.status, headers: answer.headers, body: parsed, etag: answer.headers.get('etag') ?? '' };
}
const begin = async (sent: Sent = {}) => String((await call('POST', '', { body: { title: 'Shoes', plan: { step: 1 } }, ...sent })).body['id']);
const say = (id: string, content: string, sent: Sent = {}) => call('POST', `/${id}/messages`, { body: { role: 'user', content }, ...sent });

/** A text of its own: nothing here could show it, either. */
const nested = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;

describe('sessions', () => {
  it('keep title, plan and messages, for every instance, and end by themselves later with each use', async () => {
    const made = await call('POST', '', { body: { title: 'Shoes', plan: { step: 1 } } });
    const id = String(made.body['id']);
    expect([made.status, made.headers.get('location'), made.etag, made.body['messages']]).toEqual([201, `/api/sessions/${id}`, '"1.1"', 0]);
    expect([(await say(id, 'a')).status, (await say(id, 'b', { at: 1 })).body['messages']]).toEqual([201, 2]);
    const read = await call('GET', `/${id}`, { at: 1 });
    expect(read.body).toMatchObject({ id, version: 3, messages: 2, title: 'Shoes', plan: { step: 1 } });
    expect(String(read.body['expires_at']) >= String(made.body['expires_at'])).toBe(true);
    expect((await call('GET', `/${id}/messages?after=1&limit=5`)).body).toEqual({ data: [{ seq: 2, at: expect.any(String), role: 'user', content: 'b' }] });
  });
  it('are of one user under one key: for all others they do not exist', async () => {
    const id = await begin();
    for (const stranger of [{ user: 'customer-82' }, { as: 'other' as const }]) {
      const tries = [await call('GET', `/${id}`, stranger), await call('GET', `/${id}/messages`, stranger), await say(id, 'x', stranger), await call('PUT', `/${id}`, { ...stranger, body: {}, headers: { 'if-match': '*' } }), await call('DELETE', `/${id}`, stranger)];
      expect(tries.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404]);
      expect(JSON.stringify((await call('GET', '', stranger)).body)).not.toContain(id);
    }
    expect([(await call('GET', `/${id}`)).body['version'], JSON.stringify((await call('GET', '')).body).includes(id)]).toEqual([1, true]);
    expect((await call('GET', `/${id}`, { as: 'without' })).status).toBe(403);
  });
  it('are apart for people of the same name in two workspaces, and for names that begin alike', async () => {
    const id = await begin({ as: 'anna' });
    for (const as of ['namesake', 'longer'] as const) {
      const own = await begin({ as });
      expect([(await call('GET', `/${id}`, { as })).status, (await call('GET', `/${own}`, { as: 'anna' })).status]).toEqual([404, 404]);
      expect((await call('GET', '', { as })).body).toMatchObject({ data: [{ id: own }] });
    }
    expect((await call('GET', '', { as: 'anna' })).body).toMatchObject({ data: [{ id }] });
  });
  it('lose no message of many writers at once over two instances', async () => {
    const id = await begin();
    await Promise.all(Array.from({ length: 20 }, (_none, n) => say(id, `m${n}`, { at: n % 2 })));
    const { data } = (await call('GET', `/${id}/messages`)).body;
    expect([data, (await call('GET', `/${id}`)).body['version']]).toEqual([expect.any(Array), 21]);
    expect(new Set(JSON.stringify(data).match(/"m\d+"/g)).size).toBe(20);
  });
  it('are replaced by one of two writers that read the same, and by none without If-Match', async () => {
    const id = await begin();
    const { etag } = await call('GET', `/${id}`);
    const answers = await Promise.all([0, 1].map((at) => call('PUT', `/${id}`, { at, body: { plan: { at } }, headers: { 'if-match': etag } })));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412]);
    expect(answers.find(({ status }) => status === 412)).toMatchObject({ etag: '"2.2"', body: { code: 'precondition_failed' } });
    expect((await call('PUT', `/${id}`, { body: {} })).status).toBe(428);
    expect((await say(id, 'late', { headers: { 'if-match': etag } })).status).toBe(412);
  });
  it('append once for a repeated Idempotency-Key, whose kept answer has nothing that was said', async () => {
    const id = await begin();
    const headers = { 'idempotency-key': uniqueName('key') };
    const [first, again] = [await say(id, 'canary', { headers }), await say(id, 'canary', { headers, at: 1 })];
    expect([again.body, again.headers.get('idempotency-replayed'), JSON.stringify(first.body).includes('canary')]).toEqual([first.body, 'true', false]);
    expect((await call('GET', `/${id}`)).body['messages']).toBe(1);
  });
  it('are revoked with what was said, at once and everywhere', async () => {
    const id = await begin();
    await say(id, 'a');
    expect([(await call('DELETE', `/${id}`)).status, (await call('GET', `/${id}/messages`, { at: 1 })).status, (await call('DELETE', `/${id}`)).status]).toEqual([204, 404, 404]);
  });
  it('end when they are not used', async () => {
    const user = uniqueName('user');
    await begin({ user, at: 3 });
    await eventually(async () => JSON.stringify((await call('GET', '', { user })).body) === '{"data":[]}');
    await begin({ user });
    expect((await call('GET', '', { user })).body).toMatchObject({ data: [{ version: 1 }] });
  });
  it('hold so much and no more, and a user so many', async () => {
    const user = uniqueName('user');
    const id = await begin({ user });
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await say(id, 'x'.repeat(60_000), { user })).status);
    expect(statuses).toEqual([201, 201, 201, 201, 413]);
    expect((await call('PUT', `/${id}`, { user, body: { plan: { text: 'x'.repeat(60_000) } }, headers: { 'if-match': '*' } })).status).toBe(413);
    expect((await call('POST', '', { user, body: { plan: { text: 'x'.repeat(SESSION_LIMITS.bytes) } } })).status).toBe(413);
    await Promise.all(Array.from({ length: SESSION_LIMITS.sessions - 1 }, () => begin({ user })));
    expect(await call('POST', '', { user, body: {} })).toMatchObject({ status: 409, body: { code: 'conflict' } });
    expect((await call('POST', '', { user, as: 'other', body: {} })).status).toBe(201);
  });
  it.each([
    ['data nested without end', `{"role":"user","content":"x","data":{"a":${nested}}}`, '/data'], ['data with a name of prototypes', '{"role":"user","content":"x","data":{"a":{"__proto__":{"b":1}}}}', '/data'],
    ['a role that does not exist', { role: 'root', content: 'x' }, '/role'], ['an empty message', { role: 'user', content: '' }, '/content'], ['an unknown field', { role: 'user', content: 'x', owner: 'me' }, '/owner'],
  ])('refuse %s with a pointer and keep nothing of it', async (_what, body, pointer) => {
    const id = await begin();
    expect(await call('POST', `/${id}/messages`, { body })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
    expect((await call('GET', `/${id}`)).body['messages']).toBe(0);
  });
  it.each([['nested without end', `{"a":${nested}}`], ['with a name of prototypes', '{"__proto__":{"b":1}}']])('refuse a plan %s', async (_what, plan) => {
    expect(await call('POST', '', { body: `{"plan":${plan}}` })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: '/plan' } });
  });
  it('are not reached without a user, or by an id that is none', async () => {
    expect(await call('GET', '', { user: '' })).toMatchObject({ status: 400, body: { pointer: '/x-user-id' } });
    expect(await call('GET', '/..%2Fx')).toMatchObject({ status: 400, body: { pointer: '/id' } });
  });
  it('are unavailable while Redis is away', async () => {
    expect(await call('POST', '', { at: 2, body: {} })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
  });
  it('of an erased user go, under every key, and the receipt counts them; again finds none', async () => {
    const [user, neighbour] = [uniqueName('user'), uniqueName('user')];
    await Promise.all([begin({ user }), begin({ user }), begin({ user, as: 'other' }), begin({ user: neighbour })]);
    const published: unknown[] = [];
    const handle = eraseUsers({ stores: [{ store: 'sessions', erase: (name) => storeOf(redis).eraseUser(name) }], bus: { publish: async (topic, events) => { expect(topic.name).toBe(erasureReceipts.name); published.push(...events); } } });
    const event: UserErasure = { type: 'erase', job: 'j', attempt: 1, users: [user, 'nobody'], meta: { id: uniqueName('e'), timestamp: '', schema: 1 } };
    await handle([event]);
    await handle([event]);
    expect(published).toMatchObject([3, 0].map((erased) => ({ service: 'gateway', stores: [{ store: 'sessions', found: erased, erased, due: 0 }] })));
    expect([(await call('GET', '', { user })).body, (await call('GET', '', { user, as: 'other' })).body]).toEqual([{ data: [] }, { data: [] }]);
    expect((await call('GET', '', { user: neighbour })).body).toMatchObject({ data: [{ version: 1 }] });
  });
});
