import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ProblemError, createClient } from '@millrace/client/contract';
import { deadLetterOperations, editDeadLetter, listDeadLetters, listStreams, scopes, streamOperations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, ok, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import type { AuditEntry } from '../src/audit.repository.ts';
import { createBusAccess } from '../src/bus-access.ts';
import { localRoute } from '../src/local-route.ts';
import { routeTable } from '../src/route-table.ts';
import { deadLetterRoutes, streamRoutes } from '../src/streams.routes.ts';
import { createMemoryBusAdmin, letter } from './memory-bus-admin.ts';
import type { MemoryBusAdmin } from './memory-bus-admin.ts';

const own: readonly Operation[] = [...streamOperations, ...deadLetterOperations];
const withoutOps = scopes.filter((scope) => scope !== 'ops');
const audited: AuditEntry[] = [];
const slow = { operationId: 'slow', method: 'post', path: '/api/slow', service: 'gateway', scope: 'ops', summary: '', responses: {}, body: editDeadLetter.body } as const;
let admin: MemoryBusAdmin;
/** What the ping and the next piece of work fail by. */
let failures: { ping?: Error; work?: Error; hangs?: boolean };
let gateway: HttpServer;

beforeEach(() => {
  admin = createMemoryBusAdmin();
  for (const n of [1, 2, 3]) admin.letters.set(letter(n).id, letter(n));
  failures = {};
});
beforeAll(async () => {
  const logger = createLogger('test', 'silent');
  const tools = new Proxy({} as MemoryBusAdmin, {
    get: (_target, name: keyof MemoryBusAdmin) => async (...args: never[]) => {
      if (failures.work) throw failures.work;
      if (failures.hangs === true) return new Promise(() => undefined);
      return (admin[name] as (...given: never[]) => unknown)(...args);
    },
  });
  const access = createBusAccess({ admin: tools, ping: async () => { if (failures.ping) throw failures.ping; } });
  const bus: typeof access = (limits, work) => access({ ...limits, timeoutMs: 100 }, work);
  const routes = routeTable({
    operations: [...own, slow], upstreams: {}, logger, signer: { sign: async () => '' }, audit: async (entry) => void audited.push(entry),
    local: { ...streamRoutes(bus, { 'product:updates': 4 }), ...deadLetterRoutes(bus), ...localRoute(slow, async () => ok({}), { bodyTimeoutMs: 50 }) },
    authenticate: async (key) => ({ id: `key_${key}`, scopes: key === 'ops' ? ['ops'] : withoutOps, isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }),
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => gateway.close(0));

async function call(method: string, path: string, { body, key = 'ops' }: { body?: unknown; key?: string } = {}) {
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/admin${path}`, { method, headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
}
const one = (n: number): string => letter(n).id;
const client = () => createClient({ baseUrl: `http://127.0.0.1:${gateway.port}`, apiKey: 'ops' });
const examplePath = (path: string): string => path.replace('/api/admin', '').replace('{group}', 'g').replace('{topic}', 't').replace('{id}', one(1));

describe('operations that the gateway answers itself', () => {
  it.each(own.map((operation) => [operation.operationId, operation] as const))('refuse a key without the scope ops: %s', async (_id, { method, path }) => {
    expect(await call(method.toUpperCase(), examplePath(path), { key: 'other' })).toMatchObject({ status: 403, body: { code: 'forbidden', detail: expect.stringContaining('ops') } });
  });
  it('audit every change, refused ones too, and no reading', () => {
    expect(own.filter(({ audited: isAudited }) => isAudited !== true).map(({ operationId }) => operationId)).toEqual(['listStreams']);
    expect(own.filter(({ method }) => method !== 'get').every(({ audited: isAudited }) => isAudited)).toBe(true);
  });
  it('write an audit entry with key, operation, path and outcome', async () => {
    const { headers } = await call('POST', '/dead-letters/discard', { body: { ids: [one(1)] } });
    const requestId = headers.get('x-request-id');
    await eventually(() => audited.some((entry) => entry.requestId === requestId));
    expect(audited.find((entry) => entry.requestId === requestId)).toEqual({ keyId: 'key_ops', workspaceId: 'default', operation: 'discardDeadLetters', method: 'POST', path: '/api/admin/dead-letters/discard', status: 200, requestId });
  });
  it('answer 405 for another method and name what is possible', async () => {
    const { status, headers } = await call('DELETE', '/streams');
    expect([status, headers.get('allow')]).toEqual([405, 'GET']);
  });
  it('give up on a body that does not arrive', async () => {
    const request = httpRequest(`http://127.0.0.1:${gateway.port}/api/slow`, { method: 'POST', headers: { 'x-api-key': 'ops', 'content-type': 'application/json', 'content-length': '100' } });
    request.on('error', () => undefined).write('{"data":');
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    expect([answer.statusCode, answer.headers.connection, JSON.parse((await answer.toArray()).join(''))]).toMatchObject([408, 'close', { code: 'request_timeout' }]);
    request.destroy();
  });
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
const letters = '/dead-letters';

describe('bad input', () => {
  it.each<[string, string, string, unknown, string, RegExp]>([
    ['a parameter that is not known', 'GET', '/streams?all=1', undefined, '/all', /not known/],
    ['force that is no boolean', 'DELETE', '/streams/groups/g?force=maybe', undefined, '/force', /must be|Invalid/],
    ['no partitions', 'POST', '/streams/product:updates/repartition', { partitions: 0 }, '/partitions', /at least 1/],
    ['too many partitions', 'POST', '/streams/product:updates/repartition', { partitions: 257 }, '/partitions', /at most 256/],
    ['partitions as text', 'POST', '/streams/product:updates/repartition', { partitions: '4' }, '/partitions', /must be/],
    ['a field that is not known', 'POST', '/streams/product:updates/repartition', { partitions: 4, now: true }, '/now', /not known/],
    ['a limit of 0', 'GET', `${letters}?limit=0`, undefined, '/limit', /at least 1/],
    ['a limit above 200', 'GET', `${letters}?limit=201`, undefined, '/limit', /at most 200/],
    ['a misspelt filter', 'GET', `${letters}?grup=g`, undefined, '/grup', /not known/],
    ['a time that is none', 'GET', `${letters}?since=yesterday`, undefined, '/since', /ISO 8601/],
    ['a time without its zone', 'GET', `${letters}?until=2026-11-02T08:00:00`, undefined, '/until', /ISO 8601/],
    ['until before since', 'GET', `${letters}?since=2026-11-02T09:00:00Z&until=2026-11-02T08:00:00Z`, undefined, '/until', /later than since/],
    ['a cursor that nobody gave', 'GET', `${letters}?cursor=rubbish`, undefined, '/cursor', /no cursor/],
    ['an id that is none', 'GET', `${letters}/1-1`, undefined, '/id', /as a listing shows it/],
    ['an edit without data', 'PATCH', `${letters}/${one(1)}`, {}, '/data', /required/],
    ['data that is nested too deeply', 'PATCH', `${letters}/${one(1)}`, { data: nested(51) }, '/data', /deeper than 50/],
    ['data that the topic refuses', 'PATCH', `${letters}/${one(1)}`, { data: 1 }, '/data', /park it again/],
    ['neither ids nor a filter', 'POST', `${letters}/replay`, {}, '', /\{"filter":\{\}\} means every/],
    ['ids and a filter', 'POST', `${letters}/discard`, { ids: [one(1)], filter: {} }, '/filter', /together with ids/],
    ['no ids', 'POST', `${letters}/replay`, { ids: [] }, '/ids', /at least 1/],
    ['too many ids', 'POST', `${letters}/replay`, { ids: Array.from({ length: 1_001 }, () => one(1)) }, '/ids', /at most 1000/],
    ['one wrong id', 'POST', `${letters}/discard`, { ids: [one(1), 'x'] }, '/ids/1', /as a listing shows it/],
    ['a filter that is not known', 'POST', `${letters}/discard`, { filter: { reasons: 'x' } }, '/filter/reasons', /not known/],
    ['an empty range in a filter', 'POST', `${letters}/replay`, { filter: { since: '2026-11-02T08:00:00Z', until: '2026-11-02T08:00:00Z' } }, '/filter/until', /later than since/],
    ['a dry run as text', 'POST', `${letters}/replay`, { filter: {}, dry_run: 'yes' }, '/dry_run', /must be a boolean/],
  ])('is refused with its place and a sentence: %s', async (_what, method, path, body, pointer, sentence) => {
    const before = admin.letters.size;
    const answer = await call(method, path, { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer, detail: expect.stringMatching(sentence) } });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(admin.letters.size).toBe(before);
  });
  it('is refused as it is everywhere: what is not JSON', async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/admin/dead-letters/replay`, { method: 'POST', headers: { 'x-api-key': 'ops', 'content-type': 'text/plain' }, body: '{}' });
    expect([answer.status, await answer.json()]).toMatchObject([415, { code: 'unsupported_media_type' }]);
  });
});

describe('streams', () => {
  it('are listed with their groups, of the contract', async () => {
    const { body } = await client().call(listStreams);
    expect(body.topics[0]?.streams[0]).toMatchObject({ is_draining: false, first_id: null, last_id: '3-0', groups: [{ oldest_age_ms: 1500, dead_letters: 2, holder: null, consumers: [{ idle_ms: 7 }] }] });
  });
  it.each([
    ['drops a group by force, from one topic', 'DELETE', '/streams/groups/g?topic=product:updates&force=true&dry_run=true', undefined, 200, ['dropGroup', 'g', { force: true, dryRun: true, topic: 'product:updates' }]],
    ['refuses to drop a group in use', 'DELETE', '/streams/groups/g', undefined, 409, ['dropGroup', 'g', { force: false, dryRun: false }]],
    ['does not know another group', 'DELETE', '/streams/groups/x%2Fy', undefined, 404, ['dropGroup', 'x/y', { force: false, dryRun: false }]],
    ['gives a topic partitions', 'POST', '/streams/product:updates/repartition', { partitions: 4 }, 200, ['repartition', 'product:updates', 4]],
    ['does not know another topic', 'POST', '/streams/none/repartition', { partitions: 4 }, 404, ['repartition', 'none', 4]],
    ['refuses a number that BUS_PARTITIONS contradicts', 'POST', '/streams/product:updates/repartition', { partitions: 5 }, 409, undefined],
  ])('%s', async (_what, method, path, body, status, given) => {
    expect((await call(method, path, { body })).status).toBe(status);
    expect(admin.calls.at(-1)).toEqual(given);
  });
});

describe('dead letters', () => {
  it('are listed page by page', async () => {
    const first = await client().call(listDeadLetters, { query: { limit: 2, group: 'g' } });
    expect([first.body.data.map(({ source_id }) => source_id), first.body.page]).toEqual([['1-0', '2-0'], { next: one(2), limit: 2 }]);
    const second = await client().call(listDeadLetters, { query: { limit: 2, group: 'g', cursor: first.body.page.next ?? '' } });
    expect([second.body.data.length, second.body.page.next]).toEqual([1, null]);
  });
  it('are read and edited under ids that a path takes', async () => {
    const { body } = await client().call(editDeadLetter, { params: { id: one(1) }, body: { data: { price: 1 } } });
    expect(body).toMatchObject({ id: `${one(1)}1`, fields: { data: '{"price":1}' } });
    await expect(client().call(editDeadLetter, { params: { id: one(1) }, body: { data: {} } })).rejects.toThrow(ProblemError);
  });
  it.each([
    ['by ids, and names those that are not there', { ids: [one(1), one(9)] }, { count: 1, missing: [one(9)], dry_run: false }, 2],
    ['by a filter', { filter: { key: 'sku-2' } }, { count: 1, missing: [], dry_run: false }, 2],
    ['all of them by an empty filter', { filter: {} }, { count: 3, missing: [], dry_run: false }, 0],
    ['none in a dry run', { filter: {}, dry_run: true }, { count: 3, missing: [], dry_run: true }, 3],
  ])('are replayed and discarded %s', async (_what, body, answer, left) => {
    for (const action of ['replay', 'discard']) {
      admin = createMemoryBusAdmin();
      for (const n of [1, 2, 3]) admin.letters.set(letter(n).id, letter(n));
      expect(await call('POST', `/dead-letters/${action}`, { body })).toMatchObject({ status: 200, body: answer });
      expect([admin.calls.at(-1)?.[0], admin.letters.size]).toEqual([action, left]);
    }
  });
});

describe('Redis', () => {
  it.each([
    ['is away', { ping: new Error('no') }, 503, 'unavailable', /Redis does not answer/],
    ['is full', { work: new Error("OOM command not allowed when used memory > 'maxmemory'.") }, 503, 'unavailable', /OOM/],
    ['hangs in the middle', { hangs: true }, 504, 'upstream_timeout', /may have happened/],
  ])('%s: the call fails with a code, and says when to come again', async (_what, failure, status, code, sentence) => {
    failures = failure;
    const answer = await call('POST', '/dead-letters/replay', { body: { filter: {} } });
    expect(answer).toMatchObject({ status, body: { code, detail: expect.stringMatching(sentence) } });
    expect(answer.headers.get('retry-after')).toBe('1');
  });
  it('goes away in the middle: it is not taken for a bug', async () => {
    let pings = 0;
    const access = createBusAccess({ admin, ping: async () => { if ((pings += 1) > 1) throw new Error('gone'); } });
    await expect(access({ timeoutMs: 100 }, async () => { throw new Error('Connection is closed.'); })).rejects.toMatchObject({ code: 'unavailable' });
  });
  it('is there: a failure of ours stays one', async () => {
    failures = { work: new TypeError('bug') };
    expect(await call('GET', '/streams')).toMatchObject({ status: 500, body: { code: 'internal' } });
  });
});
