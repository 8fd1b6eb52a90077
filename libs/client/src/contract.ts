import { importLineSchema, importProducts } from '@millrace/contracts';
import type { ImportLine, Operation } from '@millrace/contracts';
import type { z } from 'zod';
import { TransportError, errorOf } from './errors.ts';
import { readAnswer, readImport } from './ndjson.ts';

export { ProblemError, TransportError } from './errors.ts';

export interface ClientOptions {
  /** The gateway, such as http://127.0.0.1:8080 */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Longest wait for a whole answer; default 30 s. Imports take as long as they take. */
  readonly timeoutMs?: number;
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
  /** Uploads a stream of NDJSON or CSV (gzip too); yields the answer's lines while they come, the report when it has ended. */
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

async function toError(answer: Response): Promise<Error> {
  const text = await answer.text();
  try {
    return errorOf(answer, JSON.parse(text));
  } catch {
    return errorOf(answer, text);
  }
}

/** A client of the gateway's public API whose answers are parsed by the schemas of the contract. */
export function createClient({ baseUrl, apiKey, timeoutMs = 30_000 }: ClientOptions): Client {
  const send = async (url: URL, init: RequestInit): Promise<Response> => {
    const answer = await fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), 'x-api-key': apiKey } }).catch((error: unknown) => {
      throw new TransportError(`${url.origin} cannot be reached`, { cause: error });
    });
    if (answer.status >= 400) throw await toError(answer);
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
      if (answer.body) yield* readImport(answer.body, (line) => importLineSchema.parse(JSON.parse(line)));
    },
  };
}
