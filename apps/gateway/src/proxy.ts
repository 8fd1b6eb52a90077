import { pipeline } from 'node:stream/promises';
import { AppError } from '@millrace/service';
import type { Request, Response } from 'express';
import { Pool, errors } from 'undici';

export interface Upstream {
  /** Sends the request on and the answer back, both streamed. Throws upstream_unavailable or upstream_timeout before anything was answered. */
  forward(req: Request, res: Response, options: ForwardOptions): Promise<void>;
  close(): Promise<void>;
}

export interface ForwardOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Longest wait for the head of the answer, and between its parts. */
  readonly timeoutMs: number;
}

/** Headers of the caller that services may see; everything else, above all its key, stays here. */
const PASSED_ON = ['accept', 'content-type', 'content-length', 'content-encoding', 'if-match', 'if-none-match', 'idempotency-key'];
const PASSED_BACK = ['content-type', 'content-length', 'etag', 'location', 'retry-after', 'idempotent-replayed', 'cache-control', 'x-accel-buffering'];

const pick = (names: readonly string[], headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> => {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === 'string') picked[name] = value;
  }
  return picked;
};

const hasBody = (req: Request): boolean => req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;

/** A failure of the socket, as Node names it. */
const isSystemError = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && !(error instanceof AppError);

function toAppError(error: unknown, service: string): unknown {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) return new AppError('upstream_timeout', `${service} did not answer in time`, { cause: error, headers: { 'Retry-After': '1' } });
  if (error instanceof errors.UndiciError || isSystemError(error)) return new AppError('upstream_unavailable', `${service} cannot be reached now`, { cause: error, headers: { 'Retry-After': '1' } });
  return error;
}

/** Keep-alive connections to one service. */
export function createUpstream(service: string, origin: string): Upstream {
  const pool = new Pool(origin, { connections: 128, pipelining: 1, keepAliveTimeout: 60_000, connect: { timeout: 2_000 } });
  return {
    forward: async (req, res, { headers, timeoutMs }) => {
      const gone = new AbortController();
      res.once('close', () => gone.abort());
      try {
        const answer = await pool.request({
          method: req.method, path: req.originalUrl, headers: { ...pick(PASSED_ON, req.headers), ...headers }, body: hasBody(req) ? req : null,
          headersTimeout: timeoutMs, bodyTimeout: timeoutMs, signal: gone.signal,
        });
        res.status(answer.statusCode).set(pick(PASSED_BACK, answer.headers));
        await pipeline(answer.body, res);
      } catch (error) {
        if (gone.signal.aborted) return;
        throw toAppError(error, service);
      }
    },
    close: () => pool.close(),
  };
}
