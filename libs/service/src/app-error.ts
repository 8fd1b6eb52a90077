/**
 * The expected failures. One file (libs/http/src/error-statuses.ts) maps them to HTTP statuses; whatever is not an AppError is a bug:
 * logged with its stack and answered 500.
 */
export type ErrorCode =
  | 'invalid_request'
  | 'malformed_body'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'conflict'
  | 'gone'
  | 'duplicate'
  | 'precondition_failed'
  | 'precondition_required'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'idempotency_mismatch'
  | 'too_many_requests'
  | 'rate_limited'
  | 'unavailable'
  | 'upstream_unavailable'
  | 'upstream_timeout'
  | 'not_implemented'
  | 'pos_not_configured'
  | 'pos_unavailable'
  | 'pos_timeout'
  | 'pos_unauthorized'
  | 'pos_refused'
  | 'pos_bad_answer'
  | 'pos_quota';

/** One thing that is wrong: where (JSON pointer into that part of the request) and a sentence that says what would be right. */
export interface ErrorDetail {
  readonly in: 'body' | 'query' | 'path' | 'headers';
  readonly pointer: string;
  readonly detail: string;
}

export interface AppErrorOptions extends ErrorOptions {
  readonly details?: readonly ErrorDetail[];
  /** Extra response headers, such as Retry-After. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An expected failure: `message` is one helpful sentence for the caller and must hold nothing secret. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? [];
    this.headers = options.headers ?? {};
  }
}

export const notFound = (what: string): AppError => new AppError('not_found', `${what} does not exist`);
