import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError, createLogger, createMetrics, notFound } from '@millrace/service';
import { Router } from 'express';
import { z } from 'zod';
import { authenticate, createHttpApp, directGet, directRoute, ok, okText, requestIdOf, route, startHttpServer, traceparentOf } from '../src/index.ts';
import type { DirectGetInput, HttpServer } from '../src/index.ts';

const note = { operationId: 'note', method: 'post', path: '/notes', scope: 'write', body: z.strictObject({ text: z.string().max(20), n: z.number().optional() }) } as const;
const getNote = { operationId: 'getNote', method: 'get', path: '/notes/{name}', scope: 'write', params: z.strictObject({ name: z.string().max(20) }), query: z.strictObject({ part: z.enum(['all', 'head']).default('all') }) } as const;
const metrics = createMetrics('test');
let server: HttpServer;
let runs = 0;

/** What the handler does is told by the text. */
async function take({ body, traceparent }: { readonly body: { readonly text: string }; readonly traceparent: string | undefined }) {
  runs += 1;
  if (body.text === 'refused') throw new AppError('unavailable', 'not now', { headers: { 'Retry-After': '1' } });
  if (body.text === 'bug') throw new Error('secret stack');
  return ok({ ...body, traceparent: traceparent === undefined ? 'none' : 'there' }, { 'X-Own': 'yes' });
}

async function read({ params: { name }, query: { part }, requestId }: DirectGetInput<typeof getNote>) {
  runs += 1;
  if (name === 'none') throw notFound('this note');
  if (name === 'bug') throw new Error('secret stack');
  return okText(JSON.stringify({ name, part, id: requestId === undefined ? 'none' : 'there' }), { 'Cache-Control': 'no-store' });
}

beforeAll(async () => {
  const router = Router();
  route(router, note, ({ body, req }) => take({ body, traceparent: traceparentOf(req) }));
  route(router, getNote, (input) => read({ ...input, requestId: requestIdOf(input.req) }));
  const verifier = {
    verify: async (token: string) => {
      if (token === 'forged') throw new AppError('unauthenticated', 'forged');
      return { issuer: token === 'outsider' ? 'worker' : 'gateway', subject: 'key_1', scopes: token === 'reader' ? ['read'] : ['write'] };
    },
  };
  const callers = { verifier, issuers: ['gateway'] };
  const direct = [directRoute({ operation: note, handle: take, ...callers }), directGet({ operation: getNote, handle: read, ...callers })];
  server = await startHttpServer(createHttpApp({ logger: createLogger('test', 'silent'), metrics, handlers: [authenticate(verifier, ['gateway']), router], direct }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => server.close());

interface Sent {
  readonly name: string;
  /** Absent: a GET. */
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly token?: string;
}

const VARYING = new Set(['date', 'x-request-id']);
async function send({ body, headers = {}, path = '/notes', token = 'writer' }: Sent, more: Readonly<Record<string, string>>) {
  const content = body !== undefined && { method: 'POST', body: new Uint8Array(Buffer.from(body)) };
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { ...content, headers: { ...(content && { 'content-type': 'application/json' }), ...(token !== '' && { authorization: `Bearer ${token}` }), ...headers, ...more } });
  const { request_id: requestId, ...rest } = z.record(z.string(), z.unknown()).parse(await answer.json());
  const given = Object.fromEntries([...answer.headers].filter(([name]) => !VARYING.has(name)));
  return { status: answer.status, headers: given, body: rest, requestId: answer.headers.get('x-request-id'), sameId: requestId === undefined || requestId === answer.headers.get('x-request-id') };
}

describe('a direct route', () => {
  const cases: readonly Sent[] = [
    { name: 'what is right', body: '{"text":"a"}' },
    { name: 'a charset', body: '{"text":"Nhật"}', headers: { 'content-type': 'application/json; charset=utf-8' } },
    { name: 'a byte order mark', body: '\uFEFF{"text":"a"}' },
    { name: 'another media type', body: '{"text":"a"}', headers: { 'content-type': 'text/plain' } },
    { name: 'a packed body that is none', body: '{"text":"a"}', headers: { 'content-encoding': 'gzip' } },
    { name: 'a body that is not JSON', body: '{"text":' },
    { name: 'no body', body: '' },
    { name: 'text that is not UTF-8', body: Uint8Array.of(0x22, 0xff, 0x22) },
    { name: 'wrong values', body: '{"text":1,"n":"x","colour":1}' },
    { name: 'a body that is too large', body: JSON.stringify({ text: 'x'.repeat(1_048_577) }) },
    { name: 'a parameter', body: '{"text":"a"}', path: '/notes?x=1' },
    { name: 'no token', body: '{"text":"a"}', token: '' },
    { name: 'a forged token', body: '{"text":"a"}', token: 'forged' },
    { name: 'another issuer', body: '{"text":"a"}', token: 'outsider' },
    { name: 'no scope', body: '{"text":', token: 'reader' },
    { name: 'a handler that refuses', body: '{"text":"refused"}' },
    { name: 'a handler that fails', body: '{"text":"bug"}' },
    { name: 'a wrong request id and trace', body: '{"text":"a"}', headers: { 'x-request-id': 'a b', traceparent: 'x' } },
    { name: 'what is read by name', path: '/notes/a' },
    { name: 'a name that is percent-encoded', path: '/notes/a%2Fb%20c+d%C4%91' },
    { name: 'a name of a wrong encoding', path: '/notes/%ZZ' },
    { name: 'a name that is too long', path: `/notes/${'x'.repeat(21)}` },
    { name: 'a name in two parts', path: '/notes/a/b' },
    { name: 'a name with a slash behind it', path: '/notes/a/' },
    { name: 'another spelling of the path', path: '/NOTES/a' },
    { name: 'a name with a parameter', path: '/notes/a?part=head' },
    { name: 'a name with a wrong parameter', path: '/notes/a?part=tail&x=1' },
    { name: 'a name that is not there', path: '/notes/none' },
    { name: 'a reader that fails', path: '/notes/bug' },
    { name: 'a reader without a token', path: '/notes/a', token: '' },
    { name: 'a reader of another issuer', path: '/notes/a', token: 'outsider' },
    { name: 'a reader without the scope', path: '/notes/a', token: 'reader' },
  ];
  it.each(cases)('answers $name as express does', async (sent) => {
    // What comes from another origin is express' own.
    const [direct, express] = [await send(sent, {}), await send(sent, { origin: 'https://shop.example' })];
    expect({ ...direct, requestId: '' }).toEqual({ ...express, requestId: '' });
    expect(direct.sameId).toBe(true);
    expect(direct.requestId).toMatch(/^[\w-]{36}$/);
  });

  it('keeps the request id of the caller', async () => {
    expect((await send({ name: '', body: '{"text":"a"}' }, { 'x-request-id': 'mine' })).requestId).toBe('mine');
    expect((await send({ name: '', body: '{"text":"refused"}' }, { 'x-request-id': 'mine' })).requestId).toBe('mine');
  });

  it('runs its handler once, also where that fails', async () => {
    const before = runs;
    for (const text of ['a', 'refused', 'bug']) await send({ name: '', body: JSON.stringify({ text }) }, {});
    for (const name of ['a', 'none', 'bug']) await send({ name: '', path: `/notes/${name}` }, {});
    expect(runs - before).toBe(6);
  });

  it('counts each answer under its route', async () => {
    const counted = async (status: number, path = '/notes'): Promise<number> => {
      const line = new RegExp(`^http_request_duration_seconds_count\\{.*route="${path}",status="${status}".*\\} (\\d+)$`, 'm').exec(await metrics.metrics());
      return Number(line?.[1] ?? 0);
    };
    const [good, bad, read200] = [await counted(200), await counted(503), await counted(200, '/notes/:name')];
    await send({ name: '', body: '{"text":"a"}' }, {});
    await send({ name: '', body: '{"text":"refused"}' }, {});
    for (const origin of ['', 'https://shop.example']) await send({ name: '', path: '/notes/a', headers: origin === '' ? {} : { origin } }, {});
    expect([(await counted(200)) - good, (await counted(503)) - bad, (await counted(200, '/notes/:name')) - read200]).toEqual([1, 1, 2]);
  });
});
