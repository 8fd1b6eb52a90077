import { ProblemError, TransportError } from '@millrace/client';
import { cleanText } from './clean.ts';

/** Why a tool did nothing: what the model reads, and what it may do about it. */
export interface Refusal {
  /** Of the API's problems, or of the tools' own. */
  readonly code: string;
  /** One sentence that helps. */
  readonly detail: string;
  /** JSON pointer to the first wrong value. */
  readonly pointer?: string;
  readonly retryAfterSeconds?: number;
}

/** A tool refuses: not a bug. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

const secondsOf = (ms: number): number => Math.ceil(ms / 1_000);
const isTimeout = (error: unknown): boolean => error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError' || isTimeout(error.cause));

/** What the model is told of a failure; undefined: a bug, of which it is told nothing. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof RefusedError) return error.refusal;
  if (error instanceof ProblemError) {
    const { code, detail, pointer } = error.problem;
    return { code: cleanText(code, 100), detail: cleanText(detail, 1_000), ...(pointer !== undefined && { pointer: cleanText(pointer, 300) }), ...(error.retryAfterMs !== undefined && { retryAfterSeconds: secondsOf(error.retryAfterMs) }) };
  }
  if (isTimeout(error)) return { code: 'timeout', detail: 'the shop did not answer in time: try again', retryAfterSeconds: 1 };
  if (error instanceof TransportError) return { code: 'unavailable', detail: 'the shop cannot be reached now: try again in a moment', retryAfterSeconds: 1 };
  return undefined;
}
