import { importLineSchema, importProducts, problemSchema } from '@millrace/contracts';
import type { ImportLine, Operation, Problem } from '@millrace/contracts';
import type { z } from 'zod';

export interface ClientOptions {
  /** The gateway, such as http://127.0.0.1:8080 */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Longest wait for a whole answer; default 30 s. Imports take as long as they take. */
  readonly timeoutMs?: number;
}

/** The gateway answered with a problem; `problem` is its RFC 9457 body. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;
  /** What `Retry-After` says, milliseconds; undefined where it says nothing. */
  readonly retryAfterMs: number | undefined;
  constructor(problem: Problem, retryAfterMs?: number) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The gateway could not be reached, or answered something that is not of its contract. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

type InputOf<O, K extends keyof Operation> = O extends { readonly [P in K]: infer S extends z.ZodType } ? z.input<S> : never;
type Scalars = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface CallInput<O> {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Scalars;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: InputOf<O, 'body'>;
}

type SuccessOf<O extends Operation> = { [S in keyof O['responses']]: O['responses'][S] extends { readonly schema: infer Z extends z.ZodType } ? z.output<Z> : undefined }[keyof O['responses']];

export interface CallResult<B> { readonly status: number; readonly headers: Headers; readonly body: B }

export interface UploadInput {
  readonly body: string | Uint8Array;
  readonly contentType: string;
  readonly signal?: AbortSignal;
}

export interface Client {
  /** Calls one operation of the contract. Throws ProblemError for a problem, TransportError where there is no answer. */
  call<O extends Operation>(operation: O, input?: CallInput<O>): Promise<CallResult<SuccessOf<O>>>;
  /** Sends a whole body to an operation that streams it (`logEvents`), and parses the answer. Throws as `call` does. */
  upload<O extends Operation>(operation: O, input: UploadInput): Promise<CallResult<SuccessOf<O>>>;
  /** Uploads a stream of NDJSON or CSV (gzip too); yields the answer's lines while they come. */
  importProducts(file: ReadableStream<Uint8Array>, options: { readonly contentType: string; readonly query?: Scalars }): AsyncGenerator<ImportLine>;
}

function urlOf(baseUrl: string, operation: Operation, params: Readonly<Record<string, string | number>>, query: Scalars): URL {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_match, name: string) => encodeURIComponent(String(params[name] ?? '')));
  const url = new URL(path, baseUrl);
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
  }
  return url;
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfterOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

async function toProblem(answer: Response): Promise<Error> {
  const text = await answer.text();
  try {
    return new ProblemError(problemSchema.parse(JSON.parse(text)), retryAfterOf(answer.headers.get('retry-after')));
  } catch {
    return new TransportError(`the gateway answered ${answer.status}`);
  }
}

/** Whatever goes wrong while an answer is read is the transport's: a cut connection, a timeout, a body that is not of the contract. */
async function readAnswer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new TransportError('the answer broke off or is not of the contract', { cause: error });
  }
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<ImportLine> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await readAnswer(() => reader.read());
      const parts = (rest + decoder.decode(value, { stream: !done })).split('\n');
      rest = done ? '' : (parts.pop() ?? '');
      for (const part of parts) if (part !== '') yield await readAnswer(async () => importLineSchema.parse(JSON.parse(part)));
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A typed client of the gateway's public API. */
export function createClient({ baseUrl, apiKey, timeoutMs = 30_000 }: ClientOptions): Client {
  const send = async (url: URL, init: RequestInit): Promise<Response> => {
    const answer = await fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), 'x-api-key': apiKey } }).catch((error: unknown) => {
      throw new TransportError(`${url.origin} cannot be reached`, { cause: error });
    });
    if (answer.status >= 400) throw await toProblem(answer);
    return answer;
  };
  const parseAnswer = async <O extends Operation>(operation: O, answer: Response): Promise<CallResult<SuccessOf<O>>> => {
    const schema = operation.responses[answer.status]?.schema;
    const parsed: unknown = await readAnswer(async () => {
      const text = await answer.text();
      return schema ? schema.parse(JSON.parse(text)) : undefined;
    });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- parsed by the schema that the type is made of
    return { status: answer.status, headers: answer.headers, body: parsed as SuccessOf<O> };
  };
  return {
    call: async (operation, input = {}) => {
      const { params = {}, query = {}, headers = {}, body } = input;
      const answer = await send(urlOf(baseUrl, operation, params, query), {
        method: operation.method.toUpperCase(), signal: AbortSignal.timeout(timeoutMs), headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return parseAnswer(operation, answer);
    },
    upload: async (operation, { body, contentType, signal }) => {
      const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
      const answer = await send(urlOf(baseUrl, operation, {}, {}), { method: operation.method.toUpperCase(), headers: { 'content-type': contentType }, body: typeof body === 'string' ? body : new Uint8Array(body), signal: AbortSignal.any(signals) });
      return parseAnswer(operation, answer);
    },
    importProducts: async function* (file, { contentType, query = {} }) {
      const answer = await send(urlOf(baseUrl, importProducts, {}, query), { method: 'POST', body: file, duplex: 'half', headers: { 'content-type': contentType } });
      if (answer.body) yield* lines(answer.body);
    },
  };
}
