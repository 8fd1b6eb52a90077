import { ProblemError, TransportError } from './errors.ts';
import { readPosts } from './generated/posts.ts';
import type { Method } from './types.ts';

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** A server that asks for more is not waited for. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** May it be sent twice and count once? HTTP's idempotent methods (RFC 9110, 9.2.2), POSTs that change nothing, and what carries an Idempotency-Key. */
export const isRepeatable = (method: Method, path: string, headers: Headers): boolean =>
  ['get', 'put', 'delete'].includes(method) || (method === 'post' && readPosts.has(path)) || headers.has('idempotency-key');

/** A 429 was refused before anything was done. A 409 with Retry-After: the first request with this key is still running. */
function mayRepeat(error: unknown, repeatable: boolean): boolean {
  if (error instanceof TransportError) return repeatable;
  if (!(error instanceof ProblemError)) return false;
  const { status } = error.problem;
  return status === 429 || (repeatable && ([502, 503, 504].includes(status) || (status === 409 && error.retryAfterMs !== undefined)));
}

/**
 * How long to wait before a failed request is sent again, milliseconds; undefined: it is not.
 * What `Retry-After` says, else full jitter: a random part of 200 ms, doubled with each attempt up to 10 s
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
export function waitBeforeRetry(error: unknown, { sent, isRepeatable: repeatable }: { readonly sent: number; readonly isRepeatable: boolean }): number | undefined {
  if (!mayRepeat(error, repeatable)) return undefined;
  const asked = error instanceof ProblemError ? error.retryAfterMs : undefined;
  if (asked === undefined) return Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (sent - 1));
  return asked <= LONGEST_RETRY_AFTER_MS ? asked : undefined;
}

/** Rejects with the signal's reason as soon as it is aborted: the waits of retry libraries cannot be cut short. */
export function pause(ms: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((done, failed) => {
    const stop = (): void => {
      clearTimeout(timer);
      failed(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      done();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
  });
}
