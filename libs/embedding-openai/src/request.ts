import { EmbeddingUnavailableError } from '@millrace/embedding';
import { z } from 'zod';
import type { Spent } from './budget.ts';

export interface RequestOptions {
  /** Such as https://api.openai.com/v1: `/embeddings` is added. */
  readonly baseUrl: string;
  /** Sent as a bearer token, to this address only: redirects are refused. */
  readonly apiKey?: string;
  readonly model: string;
  readonly dimensions: number;
  /** Also ask for that many. Models that cannot be shortened refuse it. */
  readonly sendDimensions: boolean;
  readonly timeoutMs: number;
}

export interface Embedded { readonly vectors: readonly Float32Array[]; readonly tokens: number | undefined }

/** The provider refuses these texts as they are (400, 413, 422): it may take others. */
export class TextsRefusedError extends Error {
  override readonly name = 'TextsRefusedError';
}

/** May be sent again at once, or after `waitMs` where the provider says so. */
export class TryAgainError extends Error {
  override readonly name = 'TryAgainError';
  readonly waitMs: number | undefined;
  constructor(message: string, { waitMs, cause }: { readonly waitMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.waitMs = waitMs;
  }
}

/** POST /embeddings, https://platform.openai.com/docs/api-reference/embeddings/create */
const answerSchema = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()) })),
});
/** Read by itself: what is billed is known also where the embeddings are not what was asked for. */
const usageSchema = z.looseObject({ usage: z.object({ total_tokens: z.number().nonnegative() }) });
const problemSchema = z.object({ error: z.object({ message: z.string().optional(), type: z.string().nullish(), code: z.union([z.string(), z.number()]).nullish() }) });

const longestReason = 200;

/** What the provider says of its refusal, without anything that looks like a key. */
function reasonIn(body: string, apiKey: string | undefined): { readonly message: string; readonly isQuota: boolean } {
  const parsed = problemSchema.safeParse(tryJson(body));
  const { message = '', type, code } = parsed.success ? parsed.data.error : {};
  const withoutOwn = apiKey === undefined ? message : message.replaceAll(apiKey, '…');
  return { message: withoutOwn.replaceAll(/\b(sk|key|pk)-[\w*-]+/gi, '…').slice(0, longestReason), isQuota: type === 'insufficient_quota' || code === 'insufficient_quota' };
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says what it could not read
  }
}

/** Retry-After is seconds or a date (RFC 9110); OpenAI also sends milliseconds. */
export function retryAfterMs(headers: Headers, nowMs = Date.now()): number | undefined {
  const exact = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const given = headers.get('retry-after');
  if (given === null) return undefined;
  const wait = /^\d+(\.\d+)?$/.test(given) ? Number(given) * 1_000 : Date.parse(given) - nowMs;
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

async function refuse(answer: Response, { apiKey, model, baseUrl }: RequestOptions): Promise<never> {
  const { message, isQuota } = reasonIn(await answer.text(), apiKey);
  const said = message === '' ? '' : `: ${message}`;
  const origin = new URL(baseUrl).host;
  const refused = (sentence: string): Error => new EmbeddingUnavailableError(sentence, { trouble: 'refused' });
  // Of a wrong key its message shows parts of the key.
  if (answer.status === 401 || answer.status === 403) throw refused(`${origin} refuses the key (${answer.status}): look at OPENAI_API_KEY`);
  if (answer.status === 404) throw refused(`${origin} knows no ${new URL(baseUrl).pathname}/embeddings with the model ${model} (404): look at OPENAI_BASE_URL and OPENAI_EMBEDDING_MODEL`);
  if (isQuota) throw new EmbeddingUnavailableError(`the quota at ${origin} is used up${said}`, { trouble: 'budget', retryAfterMs: retryAfterMs(answer.headers) ?? 300_000 });
  if (answer.status === 400 || answer.status === 413 || answer.status === 422) throw new TextsRefusedError(`${origin} refuses the request (${answer.status})${said}`);
  if (answer.status === 429 || answer.status === 408 || answer.status === 409 || answer.status >= 500) throw new TryAgainError(`${origin} answers ${answer.status}${said}`, { waitMs: retryAfterMs(answer.headers) });
  throw refused(`${origin} answers ${answer.status}${said}`);
}

/** Failures of a connection that was never made, as Node names them: nothing was sent. */
const neverSent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);
const wasNeverSent = (error: unknown): boolean => error instanceof Error && error.cause instanceof Error && 'code' in error.cause && neverSent.has(String(error.cause.code));

/**
 * One request. `onSpent` is told what it cost, at most once and before anything is thrown; where nobody can know (a timeout, a broken connection,
 * 5xx, an answer without usage) it is not. @throws TryAgainError, TextsRefusedError, EmbeddingUnavailableError
 */
export async function requestEmbeddings(options: RequestOptions, texts: readonly string[], onSpent: (spent: Spent) => Promise<void>): Promise<Embedded> {
  const { baseUrl, apiKey, model, dimensions, sendDimensions, timeoutMs } = options;
  const body = JSON.stringify({ model, input: texts, encoding_format: 'float', ...(sendDimensions && { dimensions }) });
  const headers = { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
  const signal = AbortSignal.timeout(timeoutMs);
  const host = new URL(baseUrl).host;
  let text: string;
  try {
    const answer = await fetch(`${baseUrl.replace(/\/+$/, '')}/embeddings`, { method: 'POST', headers, body, signal, redirect: 'error' });
    // The provider has not begun: a refusal is no token.
    if (answer.status >= 400 && answer.status < 500) await onSpent({ tokens: 0, requests: 1 });
    if (!answer.ok) return await refuse(answer, options);
    text = await answer.text();
  } catch (error) {
    if (error instanceof EmbeddingUnavailableError || error instanceof TextsRefusedError || error instanceof TryAgainError) throw error;
    if (wasNeverSent(error)) await onSpent({ tokens: 0, requests: 0 });
    throw new TryAgainError(signal.aborted ? `${host} did not answer within ${timeoutMs} ms` : `${host} cannot be reached`, { cause: error });
  }
  const json = tryJson(text);
  const tokens = usageSchema.safeParse(json).data?.usage.total_tokens;
  if (tokens !== undefined) await onSpent({ tokens, requests: 1 });
  const parsed = answerSchema.safeParse(json);
  if (!parsed.success) throw new TryAgainError(`${host} answered with something that is no list of embeddings`);
  return { vectors: inOrder(parsed.data.data, texts.length, options), tokens };
}

/** By `index`: the order of the list is not promised by all. */
function inOrder(data: z.output<typeof answerSchema>['data'], count: number, { baseUrl, dimensions, model }: RequestOptions): Float32Array[] {
  const byIndex = new Map(data.map(({ index, embedding }) => [index, embedding]));
  const host = new URL(baseUrl).host;
  if (data.length !== count || byIndex.size !== count) throw new TryAgainError(`${host} answered with ${data.length} embeddings, of ${byIndex.size} indexes, for ${count} texts`);
  return Array.from({ length: count }, (_vector, at) => {
    const values = byIndex.get(at);
    if (values === undefined) throw new TryAgainError(`${host} answered without an embedding of index ${at}`);
    if (values.length !== dimensions) {
      throw new EmbeddingUnavailableError(`${model} at ${host} answers with ${values.length} dimensions, the vectors have ${dimensions}: set VECTOR_DIMENSION to ${values.length}, or OPENAI_SEND_DIMENSIONS where the model can be shortened`, { trouble: 'refused' });
    }
    return normalised(values, host);
  });
}

function normalised(values: readonly number[], host: string): Float32Array {
  const length = Math.hypot(...values);
  if (!Number.isFinite(length) || length === 0) throw new TryAgainError(`${host} answered with an embedding of length ${length}`);
  return Float32Array.from(values, (value) => value / length);
}
