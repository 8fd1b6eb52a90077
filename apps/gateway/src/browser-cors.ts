import type { Operation } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import type { RequestHandler } from 'express';

export interface KnownOrigins {
  /** Does some active publishable key name this origin? What was known stays known while the database is away. */
  has(origin: string): Promise<boolean>;
}

/** As long as an unknown key is remembered: a new key works in pages within this time. */
const FRESH_FOR_MS = 5_000;

/** Asks at most once in 5 s, whoever calls. */
export function createKnownOrigins(load: () => Promise<ReadonlySet<string>>, logger: Logger, { freshForMs = FRESH_FOR_MS } = {}): KnownOrigins {
  let known: ReadonlySet<string> = new Set();
  let freshUntil = 0;
  let loading: Promise<void> | undefined;
  const refresh = async (): Promise<void> => {
    try {
      known = await load();
    } catch (error) {
      logger.warn({ err: error }, 'the origins of publishable keys could not be read');
    }
    freshUntil = performance.now() + freshForMs;
    loading = undefined;
  };
  return {
    async has(origin) {
      if (performance.now() >= freshUntil) await (loading ??= refresh());
      return known.has(origin);
    },
  };
}

/** Headers that scripts of pages may read; `Date` tells the tracker how wrong the clock of its machine is. */
export const EXPOSED_HEADERS = [
  'Idempotency-Replayed', 'Idempotent-Replayed', 'ETag', 'Location', 'Retry-After', 'X-Request-Id', 'Date', 'Age', 'Cache-Status', 'RateLimit', 'RateLimit-Policy',
];

/** Paths that pages may call. */
export const publishablePaths = (operations: readonly Operation[]): ReadonlySet<string> => new Set(operations.filter(({ isPublishable }) => isPublishable === true).map(({ path }) => path));

/**
 * CORS (Fetch standard) of the paths that publishable keys may call, for the origins that some such key names: preflights are answered, and every answer,
 * errors too, can be read by the page. The origin is named, never a wildcard; no credentials. Whether this key is for this origin is checked with the key.
 */
export function browserCors(paths: ReadonlySet<string>, origins: KnownOrigins): RequestHandler {
  return async (req, res, next) => {
    if (!paths.has(req.path.replace(/\/$/, ''))) {
      next();
      return;
    }
    res.vary('Origin');
    const origin = req.get('origin');
    if (origin === undefined || !(await origins.has(origin))) {
      next();
      return;
    }
    res.set({ 'Access-Control-Allow-Origin': origin, 'Access-Control-Expose-Headers': EXPOSED_HEADERS.join(',') });
    if (req.method !== 'OPTIONS') {
      next();
      return;
    }
    res.set({ 'Access-Control-Allow-Methods': 'POST', 'Access-Control-Allow-Headers': 'Content-Type,X-Api-Key,X-Request-Id,traceparent', 'Access-Control-Max-Age': '600' });
    res.status(204).end();
  };
}
