import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LOGGED_SEARCH_HEADER } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Request, Response } from 'express';
import { Pool, errors } from 'undici';
import { READ_TIMEOUT_MS } from './policy.ts';
import type { Answer, Cut } from './policy.ts';
import { endingOf } from './proxy-ending.ts';
import { hasBody, readBody } from './request-body.ts';

export interface Upstream {
  /**
   * Sends the request on. A short answer whose length is known comes back whole; any other is written to `res` as it comes, and undefined returned.
   * Throws upstream_unavailable or upstream_timeout before anything was answered.
   */
  forward(req: Request, res: Response, options: ForwardOptions): Promise<Answer | undefined>;
  /** What its connections do now: requests on their way, and those that wait for a free connection. */
  readonly load?: () => readonly PoolLoad[];
  /** Ends the answers that do not end by themselves. */
  endFeeds(): void;
  close(): Promise<void>;
}

export interface PoolLoad {
  readonly pool: string;
  readonly running: number;
  readonly waiting: number;
}

export interface ForwardOptions {
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest wait for the head of the answer; for streams also between its parts. */
  readonly timeoutMs: number;
  /** The body is of any length and sent on while it comes. Else it is read whole first, so that a slow caller holds no connection to the service. */
  readonly isStream: boolean;
  /** The answer is of any length: it has as long as it takes, with no pause of `timeoutMs`. */
  readonly isDownload?: boolean;
  /** The answer does not end by itself: it has as long as it sends something at least every `FEED_SILENCE_MS`. */
  readonly isFeed?: boolean;
  /** For several callers: does not end with this one, none of its headers is sent, and an answer that is too long to be whole is dropped (undefined). */
  readonly isShared?: boolean;
  /** The answer is awaited although the caller is gone: it is kept for whoever asks again. */
  readonly outlivesCaller?: boolean;
  /** Where there is no answer by then, and it is worth it, the call ends with upstream_timeout. Not for streams. */
  readonly cut?: Cut;
}

const CONNECTIONS = 128;
/** Uploads and downloads last minutes: a pool of their own, so that they take no connection from the others. */
const STREAMS = 16;
/** Of a feed's clients: each holds a connection for as long as it stays. */
const FEEDS = 512;
const FEED_SILENCE_MS = 60_000;
/** Longer answers are passed on part by part. */
const WHOLE_BYTES = 1_048_576;

/** Headers of the caller that services may see; everything else, above all its key, stays here. */
const PASSED_ON = ['accept', 'content-type', 'content-encoding', 'if-match', 'if-none-match', 'idempotency-key', 'x-user-id', 'last-event-id'];
/** For this process, never for a caller. */
const FOR_THE_CACHE = [LOGGED_SEARCH_HEADER];
const PASSED_BACK = ['content-type', 'content-length', 'etag', 'location', 'retry-after', 'idempotent-replayed', 'cache-control', 'content-disposition', 'x-row-count', 'x-accel-buffering'];

type RawHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What the service says is one caller's own, although it was asked for several: nobody keeps it. Browsers' `Vary: Origin` is this gateway's own matter. */
const isOneCallers = ({ 'set-cookie': cookie, vary }: RawHeaders): boolean => cookie !== undefined || (vary !== undefined && !/^(origin|accept-encoding)$/i.test(String(vary)));

const pick = (names: readonly string[], headers: RawHeaders): Record<string, string> => {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === 'string') picked[name] = value;
  }
  return picked;
};

/** A failure of the socket, as Node names it. */
const isSystemError = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && !(error instanceof AppError);

export const isTimeout = (error: unknown): boolean => typeof error === 'object' && error !== null && 'name' in error && error.name === 'TimeoutError';

function toAppError(error: unknown, service: string): unknown {
  if (isTimeout(error) || error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) return new AppError('upstream_timeout', `${service} did not answer in time`, { cause: error, headers: { 'Retry-After': '1' } });
  if (error instanceof errors.UndiciError || isSystemError(error)) return new AppError('upstream_unavailable', `${service} cannot be reached now`, { cause: error, headers: { 'Retry-After': '1' } });
  return error;
}

/** The body as a stream of its own: a service that answers before it has read all of it ends that one, and not the connection of the caller, who is to have the answer. */
const bytesOf = (req: Request): Readable => Readable.from(req.iterator({ destroyOnReturn: false }), { objectMode: false });

/** Keep-alive connections to one service. A body that is no stream must arrive within `bodyTimeoutMs`. */
export function createUpstream(service: string, origin: string, { bodyTimeoutMs = 15_000 } = {}): Upstream {
  const options = { pipelining: 1, keepAliveTimeout: 60_000, connect: { timeout: 2_000 } };
  const pool = new Pool(origin, { ...options, connections: CONNECTIONS });
  const streams = new Pool(origin, { ...options, connections: STREAMS });
  const feeds = new Pool(origin, { ...options, connections: FEEDS });
  let feedsEnd = new AbortController();
  return {
    forward: async (req, res, { path, headers, timeoutMs, isStream, isDownload = false, isFeed = false, isShared = false, outlivesCaller = false, cut }) => {
      const isLong = isStream || isDownload;
      if (isLong && streams.stats.running >= STREAMS) throw new AppError('unavailable', `${STREAMS} uploads or downloads are running already: try again later`, { headers: { 'Retry-After': '10' } });
      if (isFeed && feeds.stats.running >= FEEDS) throw new AppError('unavailable', `${FEEDS} clients follow a feed of ${service} already: try again later`, { headers: { 'Retry-After': '10' } });
      const body = isStream || !hasBody(req) ? undefined : await readBody(req, res, { timeoutMs: bodyTimeoutMs });
      const ending = endingOf(res, { timeoutMs: isFeed || isLong ? undefined : timeoutMs, isShared, outlivesCaller: outlivesCaller && !isLong, cut, others: isFeed ? feedsEnd.signal : undefined });
      const bodyTimeout = isFeed ? FEED_SILENCE_MS : timeoutMs;
      let hasHead = false;
      try {
        const answer = await (isFeed ? feeds : isLong ? streams : pool).request({
          method: req.method, path, headers: { ...(isShared ? {} : pick(PASSED_ON, req.headers)), ...headers }, body: isStream && hasBody(req) ? bytesOf(req) : (body ?? null),
          headersTimeout: timeoutMs, bodyTimeout, signal: ending.signal,
        });
        const head = pick(isShared ? [...PASSED_BACK, ...FOR_THE_CACHE] : PASSED_BACK, answer.headers);
        if (isShared && isOneCallers(answer.headers)) head['cache-control'] = 'private';
        ending.begun();
        if (Number(head['content-length'] ?? Infinity) <= WHOLE_BYTES) return { status: answer.statusCode, headers: head, body: Buffer.from(await answer.body.arrayBuffer()) };
        if (isShared) {
          await answer.body.dump();
          return undefined;
        }
        res.status(answer.statusCode).set(head);
        // A service may be silent, too.
        res.setTimeout(READ_TIMEOUT_MS + bodyTimeout);
        hasHead = true;
        await pipeline(answer.body, res);
      } catch (error) {
        if (ending.isCut()) throw new AppError('upstream_timeout', `${service} did not answer in time`, { cause: error, headers: { 'Retry-After': '1' } });
        if (ending.isGone() && (!outlivesCaller || hasHead)) return undefined;
        // A feed that has begun ends with whichever side ends: its client comes again.
        if (isFeed && res.headersSent) res.destroy();
        else throw toAppError(error, service);
      } finally {
        ending.release();
        // What still comes of a body that its service did not want is dropped, so that the answer can be read.
        if (isStream && !req.complete) req.resume();
      }
      return undefined;
    },
    load: () => Object.entries({ requests: pool, streams, feeds }).map(([name, { stats }]) => ({ pool: name, running: stats.running, waiting: stats.pending })),
    endFeeds() {
      feedsEnd.abort();
      feedsEnd = new AbortController();
    },
    close: async () => void (await Promise.all([pool.close(), streams.close(), feeds.destroy()])),
  };
}
