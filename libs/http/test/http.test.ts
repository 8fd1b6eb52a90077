import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError, createLogger, createMetrics } from '@millrace/service';
import { Router } from 'express';
import { z } from 'zod';
import { authenticate, createHttpApp, idempotent, ok, parseIfMatch, route, startHttpServer, toAppError } from '../src/index.ts';
import type { HttpServer, IdempotencyStore, Reply } from '../src/index.ts';

/** A transaction: what is to be undone where it fails. */
type Undo = () => void;

/** Keeps what it is given; a reply of 'unkept' things cannot be kept. */
const memoryStore = (): IdempotencyStore<Undo> => {
  const kept = new Map<string, { fingerprint: string; reply?: Reply }>();
  return {
    begin: async (key, fingerprint) => {
      const known = kept.get(key);
      if (!known) kept.set(key, { fingerprint });
      return !known ? { state: 'new', claim: '1' } : known.reply ? { state: 'done', fingerprint: known.fingerprint, reply: known.reply } : { state: 'running' };
    },
    keep: async (undo, key, _claim, reply) => {
      if (key.endsWith('unkept')) {
        undo();
        throw new Error('the store is away');
      }
      kept.set(key, { fingerprint: kept.get(key)?.fingerprint ?? '', reply });
    },
    abort: async (key) => void kept.delete(key),
  };
};

let server: HttpServer;
let effects = 0;

beforeAll(async () => {
  const router = Router();
  const put = { operationId: 'put', method: 'put', path: '/things/{id}', scope: 'write', params: z.strictObject({ id: z.string().max(3) }), query: z.strictObject({ dry: z.stringbool().optional() }), body: z.strictObject({ price: z.number().nonnegative(), 'a/b': z.string().optional() }) } as const;
  route(router, put, async ({ params, body, identity }) => ok({ ...params, ...body, by: identity.subject }));
  const post = { operationId: 'post', method: 'post', path: '/things', scope: 'write', body: z.strictObject({ name: z.string() }) } as const;
  route(router, post, idempotent(memoryStore(), async ({ body }, keep) => {
    if (body.name === 'bad') throw new AppError('conflict', 'no');
    effects += 1;
    const reply = { status: 201, body: { n: effects } };
    await keep(() => { effects -= 1; }, reply);
    return reply;
  }));
  const crash = { operationId: 'crash', method: 'get', path: '/crash', scope: 'write' } as const;
  route(router, crash, async () => Promise.reject(new Error('secret stack')));
  const people: Readonly<Record<string, { readonly subject: string; readonly workspaceId: string }>> = { anna: { subject: 'user:anna', workspaceId: 'default' }, namesake: { subject: 'user:anna', workspaceId: 'acme' }, colon: { subject: 'user:anna:k5', workspaceId: 'default' } };
  const verifier = { verify: async (token: string) => ({ issuer: token === 'outsider' ? 'worker' : 'gateway', subject: 'key_1', scopes: token === 'reader' ? ['read'] : ['write'], ...people[token] }) };
  const app = createHttpApp({ logger: createLogger('test', 'silent'), metrics: createMetrics('test'), handlers: [authenticate(verifier, ['gateway']), router] });
  server = await startHttpServer(app, { host: '127.0.0.1', port: 0 });
});
afterAll(() => server.close());

async function call(path: string, init: RequestInit = {}, token = 'writer'): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { ...init, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...Object.fromEntries(new Headers(init.headers)) } });
  return { status: answer.status, body: z.record(z.string(), z.unknown()).parse(await answer.json()), headers: answer.headers };
}

describe('route', () => {
  it('passes the parsed parts and the identity to its handler', async () => {
    expect((await call('/things/abc', { method: 'PUT', body: '{"price":1}' })).body).toEqual({ id: 'abc', price: 1, by: 'key_1' });
  });
  it.each([
    { what: 'a wrong value in the body', path: '/things/a', body: '{"price":-1}', status: 400, code: 'invalid_request', pointer: '/price' },
    { what: 'an unknown field, escaped as JSON pointers are', path: '/things/a', body: '{"price":1,"x~/y":2}', status: 400, code: 'invalid_request', pointer: '/x~0~1y' },
    { what: 'an unknown parameter', path: '/things/a?colour=red', body: '{"price":1}', status: 400, code: 'invalid_request', pointer: '/colour' },
    { what: 'a wrong path parameter', path: '/things/abcd', body: '{"price":1}', status: 400, code: 'invalid_request', pointer: '/id' },
    { what: 'malformed JSON', path: '/things/a', body: '{"price":', status: 400, code: 'malformed_body', pointer: '' },
    { what: 'a body that is too large', path: '/things/a', body: JSON.stringify({ price: 1, 'a/b': 'x'.repeat(1_100_000) }), status: 413, code: 'body_too_large', pointer: '' },
    { what: 'a malformed percent-encoding', path: '/things/%E0%A4', body: '{"price":1}', status: 400, code: 'invalid_request', pointer: undefined },
  ])('answers $what with a problem that has a code, a pointer and a sentence', async ({ path, body, status, code, pointer }) => {
    const answer = await call(path, { method: 'PUT', body });
    expect(answer).toMatchObject({ status, body: { status, code } });
    expect(answer.body['pointer']).toBe(pointer);
    expect(String(answer.body['detail']).length).toBeGreaterThan(10);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });
  it.each([
    { body: '{}', pointer: '/price', sentence: 'is required' },
    { body: '{"price":"x"}', pointer: '/price', sentence: 'must be a number' },
    { body: '{"price":-1}', pointer: '/price', sentence: 'must be at least 0' },
    { path: '/things/abcd', body: '{"price":1}', pointer: '/id', sentence: 'must have at most 3 characters' },
  ])('says what $pointer must be: $sentence', async ({ path = '/things/a', body, pointer, sentence }) => {
    expect((await call(path, { method: 'PUT', body })).body).toMatchObject({ pointer, errors: [{ pointer, detail: sentence }] });
  });
  it('names at most 20 of many wrong values', async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`k${n}`, n]));
    const { body } = await call('/things/a', { method: 'PUT', body: JSON.stringify({ price: 1, ...many }) });
    expect(body['errors']).toHaveLength(20);
  });
  it('answers another media type with 415', async () => {
    expect((await call('/things/a', { method: 'PUT', body: 'price=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } })).status).toBe(415);
  });
  it('refuses a caller without the scope', async () => {
    expect((await call('/things/a', { method: 'PUT', body: '{"price":1}' }, 'reader')).body).toMatchObject({ status: 403, code: 'forbidden' });
  });
  it('refuses an issuer that is not listed', async () => {
    expect((await call('/things/a', { method: 'PUT', body: '{"price":1}' }, 'outsider')).status).toBe(403);
  });
  it('answers a bug with 500 and nothing of its cause', async () => {
    const answer = await call('/crash');
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal' } });
    expect(JSON.stringify(answer.body)).not.toContain('secret');
  });
  it.each([Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' }), new Error('timeout exceeded when trying to connect')])('takes a busy database for unavailable: %s', (error) => {
    expect(toAppError(error)).toMatchObject({ code: 'unavailable', headers: { 'Retry-After': '1' } });
  });
  it('answers an unknown path with 404 and keeps the request id', async () => {
    const answer = await call('/nowhere', { headers: { 'x-request-id': 'abc-1' } });
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found', request_id: 'abc-1' } });
  });
});

describe('the server', () => {
  it('answers what is not HTTP with a problem too', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.end('GET /things?q=b\u00ecnh HTTP/1.1\r\nHost: x\r\n\r\n');
    const text = (await socket.toArray()).join('');
    expect(text).toMatch(/^HTTP\/1.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"malformed_request"/);
  });
  it('closes a connection that was never used without a word, and tells one that began a request that it is late', async () => {
    const impatient = await startHttpServer(createHttpApp({ logger: createLogger('test', 'silent'), metrics: createMetrics('test'), handlers: [] }), { host: '127.0.0.1', port: 0, headersTimeoutMs: 1_000 });
    const heard = async (said: string): Promise<string> => {
      const socket = connect(impatient.port, '127.0.0.1');
      socket.write(said);
      return (await socket.toArray()).join('');
    };
    expect(await heard('')).toBe('');
    expect(await heard('GET / HTTP/1.1\r\nHost: a\r\n')).toMatch(/^HTTP\/1\.1 408 /);
    await impatient.close();
  });
});

describe('Idempotency-Key', () => {
  const post = (key: string, name: string, as?: string) => call('/things', { method: 'POST', body: JSON.stringify({ name }), headers: { 'idempotency-key': key } }, as);
  it('runs a repeated request once and answers it alike', async () => {
    const before = effects;
    const first = await post('k1', 'a');
    const second = await post('k1', 'a');
    expect([first.status, second.status, second.body]).toEqual([201, 201, first.body]);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(effects).toBe(before + 1);
  });
  it('keeps apart people of one name in two workspaces, and names that hold a colon', async () => {
    const before = effects;
    for (const [key, as] of [['k5:x', 'anna'], ['k5:x', 'namesake'], ['x', 'colon']] as const) expect((await post(key, 'a', as)).headers.get('idempotent-replayed')).toBeNull();
    expect([effects, (await post('k5:x', 'a', 'anna')).headers.get('idempotent-replayed')]).toEqual([before + 3, 'true']);
  });
  it('refuses the key for another request', async () => {
    await post('k2', 'a');
    expect((await post('k2', 'b')).body).toMatchObject({ status: 422, code: 'idempotency_mismatch' });
  });
  it('leaves no effect whose reply could not be kept, so that it may be tried again', async () => {
    const before = effects;
    expect((await post('unkept', 'a')).status).toBe(500);
    expect((await post('unkept', 'a')).status).toBe(500);
    expect(effects).toBe(before);
  });
  it('lets a failed request be tried again', async () => {
    expect((await post('k3', 'bad')).status).toBe(409);
    expect((await post('k3', 'good')).status).toBe(201);
  });
});

describe('If-Match', () => {
  it.each([['"12.15"', [12]], ['"12", "13.1"', [12, 13]], ['*', '*']] as const)('reads %s', (header, accepted) => {
    expect(parseIfMatch(header)).toEqual(accepted);
  });
  it.each([[undefined, 'precondition_required'], ['12.15', 'invalid_request'], ['W/"12.15"', 'invalid_request'], ['"abc"', 'invalid_request']])('refuses %p with %s', (header, code) => {
    expect(() => parseIfMatch(header)).toThrow(expect.objectContaining({ code }));
  });
});
