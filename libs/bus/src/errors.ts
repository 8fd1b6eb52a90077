/**
 * The sink of a handler cannot be reached now. Such a failure says nothing about the events: it never counts as an attempt,
 * and the batch waits and is handled again for as long as it takes (I8).
 */
export class SinkUnavailableError extends Error {
  override readonly name = 'SinkUnavailableError';
  readonly code = 'unavailable';
}

/** The handler declares that this event can never be handled: it is parked at once, without further tries. */
export class FinalError extends Error {
  override readonly name = 'FinalError';
  readonly code = 'final';
}

/**
 * Some events of a batch failed, each by itself, and all the others are done: those are acknowledged at once, and only the failed ones are
 * handled again. Thrown by `isolateFailures`, and by handlers that know (a bulk request's answer).
 */
export class PartialFailureError extends Error {
  override readonly name = 'PartialFailureError';
  /** By the events' `meta.streamId`. */
  readonly failures: ReadonlyMap<string, unknown>;
  constructor(failures: ReadonlyMap<string, unknown>) {
    const [first] = failures.values();
    super(`${failures.size} events failed, the first one by: ${describeError(first)}`);
    this.failures = failures;
  }
}

/** The lease of the partition has gone to another consumer: whatever this one still does to the group is refused. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

/** The consumer group is gone (a flush, or the stream was deleted): register it again, and bootstrap. */
export class GroupMissingError extends Error {
  override readonly name = 'GroupMissingError';
}

/** Failures of the way to the sink, as Node, undici and the database drivers name them. */
const UNAVAILABLE = new Set([
  'unavailable', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET', 'upstream_unavailable', 'upstream_timeout',
  '57P01', '57P02', '57P03', '57P05', '25P03', '25006', '08006', '08001', '53300',
]);
/** Errors that have no code of their own: AbortSignal.timeout, and pg when a connection breaks, or none was free for as long as one is waited for. */
const isCodeless = (error: object): boolean =>
  ('name' in error && error.name === 'TimeoutError') || ('message' in error && typeof error.message === 'string' && /^(?:Connection terminated|timeout exceeded when trying to connect)/.test(error.message));

/** This error, or one that caused it. */
function isAny(error: unknown, test: (error: object) => boolean): boolean {
  let current: unknown = error;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth += 1) {
    if (test(current)) return true;
    current = 'cause' in current ? current.cause : undefined;
  }
  return false;
}

/** Is this error, or one that caused it, a sink that cannot be reached (rather than an event that cannot be handled)? */
export const isUnavailable = (error: unknown): boolean => isAny(error, (one) => ('code' in one && typeof one.code === 'string' && UNAVAILABLE.has(one.code)) || isCodeless(one));

/** Declared final, by a FinalError or `code: 'final'`. */
export const isFinal = (error: unknown): boolean => isAny(error, (one) => 'code' in one && one.code === 'final');

/** What may be shown of a reason: handlers quote what they were given, so of a personal topic only its kind (I11). */
export const shownReason = ({ options }: { readonly options: { readonly isPersonal?: boolean } }, reason = ''): string => (options.isPersonal === true ? (reason.split(':')[0] ?? '') : reason);

/** Short text for logs and dead letters. */
export const describeError = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 500);
