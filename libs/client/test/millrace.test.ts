import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ProblemError, TransportError, createMillrace } from '../src/index.ts';
import type { ImportLine, MillraceOptions, Schemas } from '../src/index.ts';

interface Seen { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string }
type Answerer = (res: ServerResponse, req: IncomingMessage) => void;

const problem = (status: number, code: string, headers: Record<string, string> = {}): Answerer => (res) =>
  void res.writeHead(status, { 'content-type': 'application/problem+json', ...headers }).end(JSON.stringify({ type: 'x', title: 'x', status, code, detail: `it is ${code}` }));
const json = (body: unknown, status = 200): Answerer => (res) => void res.writeHead(status, { 'content-type': 'application/json', etag: '"1.1"' }).end(JSON.stringify(body));
const cut: Answerer = (res) => void res.writeHead(200, { 'content-length': '100' }).write('{"sku"', () => res.destroy());
const silent: Answerer = () => undefined;

let server: Server;
let baseUrl = '';
let seen: Seen[] = [];
/** What the server answers, one after another; the last one again and again. */
let answers: Answerer[] = [];

beforeAll(async () => {
  server = createServer((req, res) => {
    const answer = async (): Promise<void> => {
      seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body: await text(req) });
      (answers.length > 1 ? answers.shift() : answers[0])?.(res, req);
    };
    void answer();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  baseUrl = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
beforeEach(() => { seen = []; });
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const millrace = (options: Partial<Omit<MillraceOptions, 'apiKey' | 'token'>> = {}) => createMillrace({ baseUrl, apiKey: 'mr_x', timeoutMs: 5_000, ...options });
const path = { params: { path: { sku: 'a b' } } };
const now = { 'retry-after': '0' };

describe('what the SDK sends', () => {
  it('is what the operation takes: path and query percent-encoded, headers, a JSON body, the key', async () => {
    answers = [json({ sku: 'a b' })];
    const { data, response } = await millrace().PATCH('/api/products/{sku}', { ...path, headers: { 'if-match': '"1"' }, body: { price: '79.90' } });
    expect([data.sku, response.headers.get('etag')]).toEqual(['a b', '"1.1"']);
    await millrace().GET('/api/similar', { params: { query: { product_id: ['a', 'b&c'], limit: 5 } } });
    expect(seen).toMatchObject([
      { method: 'PATCH', url: '/api/products/a%20b', body: '{"price":"79.90"}', headers: { 'content-type': 'application/json', 'if-match': '"1"', 'x-api-key': 'mr_x' } },
      { method: 'GET', url: '/api/similar?product_id=a&product_id=b%26c&limit=5', body: '' },
    ]);
  });

  it('is refused by the compiler where the document has no such path, parameter, value or body', () => {
    const calls = (api: ReturnType<typeof millrace>): readonly unknown[] => [
      // @ts-expect-error -- no such path
      () => api.GET('/api/produce'),
      // @ts-expect-error -- the path has no such method
      () => api.DELETE('/api/products'),
      // @ts-expect-error -- the sku is missing
      () => api.GET('/api/products/{sku}'),
      // @ts-expect-error -- a number is not text
      () => api.POST('/api/products', { body: { sku: 1, name: 'x' } }),
      // @ts-expect-error -- the body is missing
      () => api.POST('/api/products'),
      // @ts-expect-error -- no such parameter
      () => api.GET('/api/search', { params: { query: { query: 'lamp' } } }),
      // @ts-expect-error -- no such option
      () => api.GET('/api/search', { query: { q: 'lamp' } }),
      // @ts-expect-error -- no such field
      () => api.POST('/api/products', { body: { sku: 'a', name: 'x', colour: 'red' } }),
      // @ts-expect-error -- no such value
      () => api.GET('/api/search', { params: { query: { sort: 'random' } } }),
      // @ts-expect-error -- not a list of pages
      () => api.each('/api/products/{sku}', path),
      // @ts-expect-error -- answers have no such field
      async () => (await api.GET('/api/products/{sku}', path)).data?.colour,
      // @ts-expect-error -- a 304 has no body
      async () => (await api.GET('/api/products/{sku}', path)).data.sku,
    ];
    expect(calls(millrace())).toHaveLength(12);
  });

  it('carries a token, asked for before each attempt', async () => {
    answers = [problem(503, 'unavailable', now), json({ data: [], page: { next: null, limit: 50 } })];
    let asked = 0;
    await createMillrace({ baseUrl, token: async () => `t${(asked += 1)}`, retries: 1 }).GET('/api/products');
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer t1', 'Bearer t2']);
    expect(seen[0]?.headers['x-api-key']).toBeUndefined();
  });

  it('goes through the fetch that was given', async () => {
    const { data } = await millrace({ fetch: async () => Response.json({ data: [], page: { next: null, limit: 1 } }) }).GET('/api/products');
    expect([data.page.limit, seen.length]).toEqual([1, 0]);
  });
});

describe('an Idempotency-Key', () => {
  const body = { sku: 'a', name: 'x' };
  it('is made up for a POST that takes one, another for each call, the same for its attempts', async () => {
    answers = [problem(503, 'unavailable', now), json({ sku: 'a' }, 201)];
    const api = millrace({ retries: 1 });
    await api.POST('/api/products', { body });
    await api.POST('/api/products', { body });
    const [first, again, next] = seen.map(({ headers }) => headers['idempotency-key']);
    expect(first).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/);
    expect(again).toBe(first);
    expect(next).not.toBe(first);
  });
  it('is the caller\'s own where there is one', async () => {
    answers = [json({ sku: 'a' }, 201)];
    await millrace().POST('/api/products', { body, params: { header: { 'idempotency-key': 'mine' } } });
    await millrace().POST('/api/products', { body, headers: { 'Idempotency-Key': 'mine too' } });
    expect(seen.map(({ headers }) => headers['idempotency-key'])).toEqual(['mine', 'mine too']);
  });
  it('is not sent with a POST that only reads', async () => {
    answers = [json({ data: [], unknown: [] })];
    await millrace().POST('/api/similar', { body: { product_ids: ['a'] } });
    expect(seen[0]?.headers).not.toHaveProperty('idempotency-key');
  });
});

describe('a failed call', () => {
  it('throws the problem that was answered, and how long to wait', async () => {
    answers = [problem(404, 'not_found')];
    const failed = millrace().GET('/api/products/{sku}', path);
    await expect(failed).rejects.toThrow(ProblemError);
    await expect(failed).rejects.toMatchObject({ message: 'it is not_found', problem: { code: 'not_found', status: 404 }, retryAfterMs: undefined });
    answers = [problem(429, 'too_many_requests', { 'retry-after': '2' })];
    await expect(millrace().GET('/api/products')).rejects.toMatchObject({ retryAfterMs: 2_000 });
  });
  it.each([
    ['cut', cut], ['silent', silent],
    ['not JSON', (res) => void res.end('{"sku":')],
    ['not a problem', (res) => void res.writeHead(502).end('<html>')],
  ] as [string, Answerer][])('throws a TransportError where the answer is %s', async (_name, answer) => {
    answers = [answer];
    await expect(millrace({ timeoutMs: 300 }).GET('/api/products')).rejects.toThrow(TransportError);
  });
  it('throws a TransportError where nobody listens', async () => {
    await expect(createMillrace({ baseUrl: 'http://127.0.0.1:1', apiKey: 'mr_x' }).GET('/api/products')).rejects.toThrow(TransportError);
  });
  it('throws the reason of the caller\'s signal: before the answer, and while it waits to send again', async () => {
    const reason = new Error('changed my mind');
    for (const answer of [silent, problem(429, 'too_many_requests', { 'retry-after': '50' })]) {
      const caller = new AbortController();
      answers = [(res, req) => {
        answer(res, req);
        setImmediate(() => caller.abort(reason));
      }];
      await expect(millrace({ retries: 3 }).GET('/api/products', { signal: caller.signal })).rejects.toBe(reason);
    }
    expect(seen).toHaveLength(2);
  });
  it('is not an answer without a body: 204 and 304 have undefined data', async () => {
    answers = [(res) => void res.writeHead(304, { etag: '"1.1"' }).end(), (res) => void res.writeHead(204).end()];
    const { data, response } = await millrace().GET('/api/products/{sku}', { ...path, headers: { 'if-none-match': '"1.1"' } });
    expect([data, response.status]).toEqual([undefined, 304]);
    expect((await millrace().DELETE('/api/products/{sku}', { ...path, headers: { 'if-match': '*' } })).data).toBeUndefined();
  });
});

describe('each and streams', () => {
  it('yields the items of all pages, and reads a page when it is needed', async () => {
    const page = (sku: string, next: string | null): Answerer => json({ data: [{ sku }], page: { next, limit: 1 } });
    answers = [page('a', 'c1'), page('b', 'c2'), page('c', null)];
    const skus: Schemas['Product']['sku'][] = [];
    for await (const product of millrace().each('/api/products', { params: { query: { limit: 1 } } })) {
      skus.push(product.sku);
      expect(seen).toHaveLength(skus.length);
    }
    expect(skus).toEqual(['a', 'b', 'c']);
    expect(seen.map(({ url }) => url)).toEqual(['/api/products?limit=1', '/api/products?limit=1&cursor=c1', '/api/products?limit=1&cursor=c2']);
  });
  it('hands out a body as it comes, for longer than the deadline of its head', async () => {
    answers = [(res) => void res.writeHead(200).write('sku\n', () => setTimeout(() => res.end('a\n'), 2_400))];
    const { data } = await millrace({ timeoutMs: 2_000 }).GET('/api/ut360/segments/{id}/export', { params: { path: { id: 7 } }, parseAs: 'stream' });
    expect(data && (await text(data))).toBe('sku\na\n');
  });
  it('sends an import part by part and yields each line of the answer, the last one without a line end too', async () => {
    const counts = { rows: 1, created: 1, updated: 0, unchanged: 0, failed: 0, bytes: 1 };
    answers = [(res) => void res.end(`${JSON.stringify({ type: 'progress', ...counts })}\n${JSON.stringify({ type: 'progress', ...counts, rows: 2 })}`)];
    const lines: ImportLine[] = [];
    for await (const line of millrace().importProducts(new Blob(['{"sku":"a"}\n']).stream(), { contentType: 'application/x-ndjson', query: { dry_run: 'true' } })) lines.push(line);
    expect(lines).toMatchObject([{ rows: 1 }, { rows: 2 }]);
    expect(seen).toMatchObject([{ url: '/api/products/import?dry_run=true', body: '{"sku":"a"}\n', headers: { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked', 'x-api-key': 'mr_x' } }]);
  });
  it('gives the report of an import when the answer has ended, so that whoever stops there leaves its connection in order', async () => {
    const report = { type: 'report', rows: 1, created: 1, updated: 0, unchanged: 0, failed: 0, bytes: 1, errors: [] };
    const parts = [`${JSON.stringify(report)}\n`];
    let isBrokenOff = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (to) => {
        const part = parts.shift();
        if (part === undefined) to.close();
        else to.enqueue(Buffer.from(part));
      },
      cancel: () => { isBrokenOff = true; },
    }, { highWaterMark: 0 });
    const lines = millrace({ fetch: async () => new Response(body) }).importProducts(new Blob(['{"sku":"a"}\n']).stream(), { contentType: 'application/x-ndjson' });
    for await (const line of lines) if (line.type === 'report') break;
    expect(isBrokenOff).toBe(false);
  });
  it('throws the problem of an import that is refused, and a TransportError for one that is cut', async () => {
    const run = async (): Promise<void> => { for await (const line of millrace({ retries: 2 }).importProducts(new Blob(['x']).stream(), { contentType: 'text/csv' })) expect(line).toBeUndefined(); };
    answers = [problem(415, 'unsupported_media_type')];
    await expect(run()).rejects.toMatchObject({ problem: { status: 415 } });
    answers = [cut];
    await expect(run()).rejects.toThrow(TransportError);
    expect(seen).toHaveLength(2);
  });
});
