import createFetchClient from 'openapi-fetch';
import { ProblemError, TransportError, errorOf } from './errors.ts';
import type { paths } from './generated/openapi.ts';
import { keyedPosts } from './generated/posts.ts';
import { readImport } from './ndjson.ts';
import { isRepeatable, pause, waitBeforeRetry } from './retry.ts';
import type { Answer, Call, Each, ImportLine, ImportOptions, Method } from './types.ts';

/** An API key (publishable ones too), or a JWT: a function is asked before each request, so that it may renew it. */
export type Credentials = { readonly apiKey: string; readonly token?: undefined } | { readonly token: string | (() => string | Promise<string>); readonly apiKey?: undefined };

export type MillraceOptions = Credentials & {
  /** The gateway, such as http://127.0.0.1:8080; a path in it comes before the operations' own. */
  readonly baseUrl: string;
  /** Instead of the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Longest wait for a whole answer (for its head with `parseAs: 'stream'`), each attempt by itself; default 30 s. Imports take as long as they take. */
  readonly timeoutMs?: number;
  /** How often a request is sent again at most; default 0. What is sent again, and when: README. */
  readonly retries?: number;
};

export interface Millrace {
  readonly GET: Call<'get'>;
  readonly POST: Call<'post'>;
  readonly PUT: Call<'put'>;
  readonly PATCH: Call<'patch'>;
  readonly DELETE: Call<'delete'>;
  /** The items of all pages of a list, one by one. */
  readonly each: Each;
  /** Uploads a stream of NDJSON or CSV (gzip too); yields the answer's lines while they come. Never sent again. */
  importProducts(file: ReadableStream<Uint8Array>, options: ImportOptions): AsyncGenerator<ImportLine, void, undefined>;
}

/** What openapi-fetch takes and answers, without the types of one operation. */
interface Init {
  readonly params?: { readonly query?: object; readonly header?: Readonly<Record<string, string>> };
  readonly headers?: ConstructorParameters<typeof Headers>[0];
  readonly signal?: AbortSignal | null;
  readonly parseAs?: string;
  readonly [option: string]: unknown;
}
type Send = (method: Method, path: string, init: Init) => Promise<{ readonly data?: unknown; readonly error?: unknown; readonly response: Response }>;

/** Aborts when the caller does, or when the answer takes too long; `stop` ends only the latter. */
function deadlineOf(timeoutMs: number | undefined, caller: AbortSignal | null | undefined): { readonly signal: AbortSignal; readonly stop: () => void } {
  const late = new AbortController();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => late.abort(new DOMException(`no whole answer within ${timeoutMs} ms`, 'TimeoutError')), timeoutMs);
  return { signal: caller ? AbortSignal.any([caller, late.signal]) : late.signal, stop: () => clearTimeout(timer) };
}

/** One attempt: a status of 400 or above, no answer, and one that breaks off are thrown. */
async function attempt(send: Send, { method, path, init, timeoutMs }: { readonly method: Method; readonly path: string; readonly init: Init; readonly timeoutMs: number | undefined }): Promise<Answer<unknown>> {
  const deadline = deadlineOf(timeoutMs, init.signal);
  try {
    const { data, error, response } = await send(method, path, { ...init, signal: deadline.signal });
    if (response.status >= 400) throw errorOf(response, error);
    return { data, response };
  } catch (error) {
    init.signal?.throwIfAborted();
    if (error instanceof ProblemError || error instanceof TransportError) throw error;
    throw new TransportError('there is no answer, or it broke off or is not of the contract', { cause: error });
  } finally {
    deadline.stop();
  }
}

const credentialsOf = async ({ apiKey, token }: Credentials): Promise<Readonly<Record<string, string>>> =>
  apiKey === undefined ? { authorization: `Bearer ${typeof token === 'function' ? await token() : token}` } : { 'x-api-key': apiKey };

/** A client of the gateway's public API, typed by its OpenAPI document (docs/openapi.json). */
export function createMillrace({ baseUrl, fetch: ownFetch, timeoutMs = 30_000, retries = 0, ...credentials }: MillraceOptions): Millrace {
  const { request } = createFetchClient<paths>({ baseUrl, fetch: ownFetch ?? ((input) => globalThis.fetch(input)) });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the types of one operation are given back by Call, in the object below
  const send = request as unknown as Send;

  const call = async (method: Method, path: string, init: Init = {}): Promise<Answer<unknown>> => {
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(init.params?.header ?? {})) headers.set(name, value);
    // One key for all attempts: it is what makes them one request.
    if (method === 'post' && keyedPosts.has(path) && !headers.has('idempotency-key')) headers.set('idempotency-key', crypto.randomUUID());
    for (let sent = 1; ; sent += 1) {
      for (const [name, value] of Object.entries(await credentialsOf(credentials))) headers.set(name, value);
      try {
        return await attempt(send, { method, path, init: { ...init, headers, params: { ...init.params, header: {} } }, timeoutMs });
      } catch (error) {
        const waitMs = sent <= retries ? waitBeforeRetry(error, { sent, isRepeatable: isRepeatable(method, path, headers) }) : undefined;
        if (waitMs === undefined) throw error;
        await pause(waitMs, init.signal);
      }
    }
  };
  const each = async function* (path: string, init: Init = {}): AsyncGenerator<unknown, void, undefined> {
    for (let query: object = { ...init.params?.query }; ; ) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a PagedPath
      const { data, page } = (await call('get', path, { ...init, params: { ...init.params, query } })).data as { readonly data: readonly unknown[]; readonly page: { readonly next: string | null } };
      yield* data;
      if (page.next === null) return;
      query = { ...query, cursor: page.next };
    }
  };
  const importProducts = async function* (file: ReadableStream<Uint8Array>, { contentType, query, signal }: ImportOptions): AsyncGenerator<ImportLine, void, undefined> {
    const headers = { ...(await credentialsOf(credentials)), 'content-type': contentType };
    const init = { headers, params: { ...(query && { query }) }, body: file, bodySerializer: (body: unknown) => body, duplex: 'half', parseAs: 'stream', ...(signal && { signal }) };
    const { response } = await attempt(send, { method: 'post', path: '/api/products/import', init, timeoutMs: undefined });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the document's own line
    if (response.body) yield* readImport(response.body, (line) => JSON.parse(line) as ImportLine);
  };
  const typed = { GET: call.bind(undefined, 'get'), POST: call.bind(undefined, 'post'), PUT: call.bind(undefined, 'put'), PATCH: call.bind(undefined, 'patch'), DELETE: call.bind(undefined, 'delete'), each, importProducts };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the answers have the types that the document gives them
  return typed as unknown as Millrace;
}
