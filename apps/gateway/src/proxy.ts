import { pipeline } from 'node:stream/promises';
import { JSON_LIMIT_BYTES } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Request, Response } from 'express';
import { Pool, errors } from 'undici';
import type { Answer } from './policy.ts';

export interface Upstream {
  /**
   * Sends the request on. A short answer whose length is known comes back whole; any other is written to `res` as it comes, and undefined returned.
   * Throws upstream_unavailable or upstream_timeout before anything was answered.
   */
  forward(req: Request, res: Response, options: ForwardOptions): Promise<Answer | undefined>;
  /** Ends the answers that do not end by themselves. */
  endFeeds(): void;
  close(): Promise<void>;
}

export interface ForwardOptions {
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest wait for the head of the answer; for streams also between its parts. */
  readonly timeoutMs: number;
  /** The body is of any length and sent on while it comes. Else it is read whole first, so that a slow caller holds no connection to the service. */
  readonly isStream: boolean;
  /** The answer does not end by itself: it has as long as it sends something at least every `FEED_SILENCE_MS`. */
  readonly isFeed?: boolean;
}

const CONNECTIONS = 128;
/** Uploads last minutes: a pool of their own, so that they take no connection from the others. */
const STREAMS = 16;
/** Of a feed's clients: each holds a connection for as long as it stays. */
const FEEDS = 512;
const FEED_SILENCE_MS = 60_000;
/** Longer answers are passed on part by part. */
const WHOLE_BYTES = 1_048_576;

/** Headers of the caller that services may see; everything else, above all its key, stays here. */
const PASSED_ON = ['accept', 'content-type', 'content-encoding', 'if-match', 'if-none-match', 'idempotency-key', 'x-user-id', 'last-event-id'];
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

export const isTimeout = (error: unknown): boolean => typeof error === 'object' && error !== null && 'name' in error && error.name === 'TimeoutError';

function toAppError(error: unknown, service: string): unknown {
  if (isTimeout(error) || error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) return new AppError('upstream_timeout', `${service} did not answer in time`, { cause: error, headers: { 'Retry-After': '1' } });
  if (error instanceof errors.UndiciError || isSystemError(error)) return new AppError('upstream_unavailable', `${service} cannot be reached now`, { cause: error, headers: { 'Retry-After': '1' } });
  return error;
}

/** The whole body, of at most 1 MiB, in time. What is refused is read no further: the connection ends with the answer. */
function readBody(req: Request, res: Response, timeoutMs: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const refuse = (error: AppError): void => {
    req.pause();
    res.set('Connection', 'close');
    reject(error);
  };
  const late = setTimeout(() => refuse(new AppError('request_timeout', `the body did not arrive within ${timeoutMs / 1_000} s`)), timeoutMs);
  const take = (chunk: Buffer): void => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > JSON_LIMIT_BYTES) refuse(new AppError('body_too_large', `the body is larger than ${JSON_LIMIT_BYTES} bytes`, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] }));
  };
  req.on('data', take);
  req.once('end', () => resolve(Buffer.concat(chunks)));
  req.once('close', () => reject(new AppError('malformed_body', 'the body broke off')));
  return promise.finally(() => {
    clearTimeout(late);
    req.off('data', take);
  });
}

/** Keep-alive connections to one service. A body that is no stream must arrive within `bodyTimeoutMs`. */
export function createUpstream(service: string, origin: string, { bodyTimeoutMs = 15_000 } = {}): Upstream {
  const options = { pipelining: 1, keepAliveTimeout: 60_000, connect: { timeout: 2_000 } };
  const pool = new Pool(origin, { ...options, connections: CONNECTIONS });
  const streams = new Pool(origin, { ...options, connections: STREAMS });
  const feeds = new Pool(origin, { ...options, connections: FEEDS });
  let ending = new AbortController();
  return {
    forward: async (req, res, { path, headers, timeoutMs, isStream, isFeed = false }) => {
      if (isStream && streams.stats.running >= STREAMS) throw new AppError('unavailable', `${STREAMS} uploads are running already: try again later`, { headers: { 'Retry-After': '10' } });
      if (isFeed && feeds.stats.running >= FEEDS) throw new AppError('unavailable', `${FEEDS} clients follow a feed of ${service} already: try again later`, { headers: { 'Retry-After': '10' } });
      const body = isStream || !hasBody(req) ? undefined : await readBody(req, res, bodyTimeoutMs);
      const gone = new AbortController();
      res.once('close', () => gone.abort());
      // Waiting for a free connection counts, too: nobody waits for ever behind a service that hangs.
      const signals = isFeed ? [gone.signal, ending.signal] : isStream ? [gone.signal] : [gone.signal, AbortSignal.timeout(timeoutMs)];
      const bodyTimeout = isFeed ? FEED_SILENCE_MS : timeoutMs;
      try {
        const answer = await (isFeed ? feeds : isStream ? streams : pool).request({
          method: req.method, path, headers: { ...pick(PASSED_ON, req.headers), ...headers }, body: isStream && hasBody(req) ? req : (body ?? null),
          headersTimeout: timeoutMs, bodyTimeout, signal: AbortSignal.any(signals),
        });
        const head = pick(PASSED_BACK, answer.headers);
        if (Number(head['content-length'] ?? Infinity) <= WHOLE_BYTES) return { status: answer.statusCode, headers: head, body: Buffer.from(await answer.body.arrayBuffer()) };
        res.status(answer.statusCode).set(head);
        await pipeline(answer.body, res);
      } catch (error) {
        if (gone.signal.aborted) return undefined;
        // A feed that has begun ends with whichever side ends: its client comes again.
        if (isFeed && res.headersSent) res.destroy();
        else throw toAppError(error, service);
      }
      return undefined;
    },
    endFeeds() {
      ending.abort();
      ending = new AbortController();
    },
    close: async () => void (await Promise.all([pool.close(), streams.close(), feeds.destroy()])),
  };
}
