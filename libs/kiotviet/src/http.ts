import { AppError } from '@millrace/service';
import { Agent, errors, request } from 'undici';
import { posBadAnswer, posTimeout, posUnavailable } from './errors.ts';

export interface HttpAnswer { readonly status: number; readonly text: string; readonly retryAfterMs: number | undefined }

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface PosHttp {
  /** One request, from connecting to the last byte within the time and the size. Redirects are not followed: they would take the token elsewhere. Rejects with a pos error. */
  send(call: HttpCall): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export interface PosHttpOptions { readonly timeoutMs: number; readonly maxBytes: number }

/** Seconds or a date (RFC 9110, 10.2.3). */
export function parseRetryAfter(value: string | string[] | undefined, now = Date.now()): number | undefined {
  if (typeof value !== 'string') return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value.trim()) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

const isAbort = (error: unknown): boolean => typeof error === 'object' && error !== null && 'name' in error && (error.name === 'TimeoutError' || error.name === 'AbortError');

/** A failure of the socket, as Node names it. */
const isSystemError = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && !(error instanceof AppError);

function toPosError(error: unknown, timeoutMs: number): unknown {
  if (isAbort(error) || error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError || error instanceof errors.ConnectTimeoutError) return posTimeout(timeoutMs, error);
  if (error instanceof errors.UndiciError || isSystemError(error)) return posUnavailable('it cannot be reached, or broke off its answer', error);
  return error;
}

export function createPosHttp({ timeoutMs, maxBytes }: PosHttpOptions): PosHttp {
  const agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 30_000, connect: { timeout: Math.min(timeoutMs, 5_000) } });
  return {
    async send({ method, url, headers, body }) {
      try {
        const signal = AbortSignal.timeout(timeoutMs);
        const answer = await request(url, { method, headers: { accept: 'application/json', 'accept-encoding': 'identity', ...headers }, body: body ?? null, dispatcher: agent, signal, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
        const chunks: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of answer.body) {
          const part = Buffer.from(chunk);
          bytes += part.length;
          if (bytes > maxBytes) throw posBadAnswer(`it is longer than ${maxBytes} bytes`);
          chunks.push(part);
        }
        return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8'), retryAfterMs: parseRetryAfter(answer.headers['retry-after']) };
      } catch (error) {
        throw toPosError(error, timeoutMs);
      }
    },
    close: () => agent.destroy(),
  };
}
