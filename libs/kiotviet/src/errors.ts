import { AppError } from '@millrace/service';
import type { ErrorCode } from '@millrace/service';

/** The codes that say that it is the point of sale. */
const POS_CODES: ReadonlySet<ErrorCode> = new Set(['pos_not_configured', 'pos_unavailable', 'pos_timeout', 'pos_unauthorized', 'pos_refused', 'pos_bad_answer', 'pos_quota']);
export const isPosError = (error: unknown): error is AppError => error instanceof AppError && POS_CODES.has(error.code);

/** Down or too slow: what a breaker counts, and what is worth a second try. */
export const isPosDown = (error: unknown): boolean => error instanceof AppError && (error.code === 'pos_unavailable' || error.code === 'pos_timeout');

/** It was not asked, or wants no more calls for now. */
export const isPosQuota = (error: unknown): boolean => error instanceof AppError && error.code === 'pos_quota';

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1_000)));
const later = (ms: number): { headers: Record<string, string> } => ({ headers: { 'Retry-After': seconds(ms) } });

export const posUnavailable = (why: string, cause?: unknown, retryMs = 5_000): AppError => new AppError('pos_unavailable', `the point of sale cannot be used now: ${why}`, { cause, ...later(retryMs) });
export const posTimeout = (timeoutMs: number, cause?: unknown): AppError => new AppError('pos_timeout', `the point of sale did not answer within ${timeoutMs} ms`, { cause, ...later(5_000) });
export const posBadAnswer = (why: string, cause?: unknown): AppError => new AppError('pos_bad_answer', `the point of sale answered what cannot be read: ${why}`, { cause });
export const posUnauthorized = (why: string): AppError => new AppError('pos_unauthorized', `the point of sale refuses our credentials: ${why}`, later(30_000));
export const posRefused = (status: number, code: string | undefined): AppError => new AppError('pos_refused', `the point of sale refused the request (${status}${code === undefined ? '' : `, ${code}`})`);
export const posQuota = (waitMs: number, who: 'pos' | 'budget' | 'share'): AppError =>
  new AppError('pos_quota', {
    pos: `the point of sale wants no more calls for ${seconds(waitMs)} s`,
    budget: `the calls to the point of sale that are for this are used up in this hour: try again in ${seconds(waitMs)} s`,
    share: `your part of the calls to the point of sale of this hour is used up, the rest is for others: try again in ${seconds(waitMs)} s`,
  }[who], later(waitMs));
