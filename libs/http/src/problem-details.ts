import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import { errorStatuses } from './error-statuses.ts';
import { requestIdOf } from './request-context.ts';

/** The RFC 9457 body of an expected failure. */
export function toProblem(error: AppError, requestId: string | undefined): Record<string, unknown> & { status: number } {
  const { status, title } = errorStatuses[error.code];
  const pointer = error.details[0]?.pointer;
  return {
    type: `urn:millrace:problem:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    ...(pointer !== undefined && { pointer }),
    ...(error.details.length > 0 && { errors: error.details }),
    ...(requestId !== undefined && { request_id: requestId }),
  };
}

const sqlStateOf = (error: unknown): string => (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '');
/** SQLSTATE of values that no schema can foresee: characters, dates and offsets of time zones (from 16 hours on) that Postgres does not hold. */
const REFUSED_VALUES = new Set(['22021', '22P05', '22007', '22008', '22009']);

/** SQLSTATE lock_not_available: others hold what this one would change, for longer than it waits. */
const LOCKED = '55P03';
/** Of pg's pool, whose error has no code: every connection was in use for as long as one is waited for. */
const NO_CONNECTION = 'timeout exceeded when trying to connect';
const isBusy = (error: unknown): boolean => sqlStateOf(error) === LOCKED || (error instanceof Error && error.message === NO_CONNECTION);

interface BodyParserError { readonly type?: string; readonly status: number; readonly limit?: number }
/** What could not be unpacked has a status and no type, and is `expose`, as all its errors are that the caller has made. */
const isBodyParserError = (error: unknown): error is BodyParserError =>
  typeof error === 'object' && error !== null && 'status' in error && typeof error.status === 'number' && (('type' in error && typeof error.type === 'string') || ('expose' in error && error.expose === true));

/** Failures of express' own parsers as AppErrors; undefined: anything else, a bug. */
export function toAppError(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error;
  if (error instanceof URIError) return new AppError('invalid_request', 'the path has a malformed percent-encoding');
  if (isBusy(error)) return new AppError('unavailable', 'the database is busy with the work of others, and this was not done, or not to its end: send the same again', { cause: error, headers: { 'Retry-After': '1' } });
  if (REFUSED_VALUES.has(sqlStateOf(error))) return new AppError('invalid_request', 'a value holds a character or a date that cannot be stored', { cause: error });
  if (!isBodyParserError(error) || error.status >= 500) return undefined;
  if (error.type === 'entity.too.large') return new AppError('body_too_large', `the body is larger than ${error.limit ?? 'allowed'} bytes`, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] });
  if (error.type === 'entity.parse.failed') return new AppError('malformed_body', 'the body is not valid JSON', { details: [{ in: 'body', pointer: '', detail: 'is not valid JSON' }] });
  if (error.status === 415) return new AppError('unsupported_media_type', 'the charset or encoding of the body is not supported');
  return new AppError('malformed_body', 'the body could not be read', { details: [{ in: 'body', pointer: '', detail: 'could not be read' }] });
}

const QUIET_MS = 10_000;

/** A failure of one kind, and how many like it nobody was told of; undefined: it is one of these. Kinds are few: codes and templates of routes. */
function createSeldom(nowMs: () => number): (kind: string) => { readonly untold: number } | undefined {
  const kinds = new Map<string, { quietUntil: number; untold: number }>();
  return (kind) => {
    const known = kinds.get(kind);
    if (known && nowMs() < known.quietUntil) {
      known.untold += 1;
      return undefined;
    }
    kinds.set(kind, { quietUntil: nowMs() + QUIET_MS, untold: 0 });
    return { untold: known?.untold ?? 0 };
  };
}

/**
 * Mounted last: every error leaves as application/problem+json. A bug is logged with its stack and tells the caller nothing but its request id. An expected
 * failure of a service (500 and above) is logged once in ten seconds for each code and route: callers can bring it about as often as they like.
 */
export function problemDetails(logger: Logger, { nowMs = () => performance.now() }: { readonly nowMs?: () => number } = {}): ErrorRequestHandler {
  const seldom = createSeldom(nowMs);
  const log = (error: unknown, expected: AppError | undefined, { route, ...facts }: { readonly route: string | undefined; readonly requestId: string | undefined; readonly method: string; readonly status: number }): void => {
    const told = expected ? seldom(`${expected.code} ${facts.method} ${route ?? ''}`) : { untold: 0 };
    if (told) logger[expected ? 'warn' : 'error']({ err: error, route, ...facts, ...(told.untold > 0 && { untold: told.untold }) }, 'request failed');
  };
  return (error: unknown, req, res, _next) => {
    const expected = toAppError(error);
    const requestId = requestIdOf(req);
    const status = expected ? errorStatuses[expected.code].status : 500;
    if (status >= 500) log(error, expected, { requestId, route: req.route ? String(req.route.path) : undefined, method: req.method, status });
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const problem = expected
      ? toProblem(expected, requestId)
      : { type: 'urn:millrace:problem:internal', title: 'Internal error', status: 500, code: 'internal', detail: 'something went wrong on our side; the request id helps us to find it', request_id: requestId };
    if (expected) res.set(expected.headers);
    res.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  };
}

/** Mounted after all routes. */
export const notFoundHandler: RequestHandler = (req) => {
  throw new AppError('not_found', `there is no ${req.method} ${req.path.slice(0, 200)}`);
};
