import type { components } from './generated/openapi.ts';

/** RFC 9457 problem details, the body of every error. */
export type Problem = components['schemas']['Problem'];

/** The gateway answered with a problem; `problem` is its RFC 9457 body. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;
  /** What `Retry-After` says, milliseconds; undefined where it says nothing. */
  readonly retryAfterMs: number | undefined;
  constructor(problem: Problem, retryAfterMs?: number) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The gateway could not be reached, or answered something that is not of its contract. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfterOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function isProblem(body: unknown): body is Problem {
  const fields: Readonly<Record<string, unknown>> = { ...(typeof body === 'object' ? body : undefined) };
  return typeof fields['status'] === 'number' && ['type', 'title', 'code', 'detail'].every((name) => typeof fields[name] === 'string');
}

/** What is thrown for an answer of 400 or above: `body` is its parsed JSON, or whatever else came. */
export const errorOf = ({ status, headers }: Response, body: unknown): ProblemError | TransportError =>
  isProblem(body) ? new ProblemError(body, retryAfterOf(headers.get('retry-after'))) : new TransportError(`the gateway answered ${status}`);
