import { AppError } from '@millrace/service';
import type { Answer } from '../policy.ts';
import type { CallPlan } from './resilience-table.ts';
import type { Tried } from './service-breaker.ts';

const MAY_PASS = new Set([502, 503, 504]);
/** No connection was made: nothing of the request was sent. */
const UNSENT = new Set(['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN']);

/**
 * 500 and above in other words than a problem of our services: something between here and the service, or a process that is no more itself. What a service
 * says in its own words, a bug (500) or a part of its own that is away (503), is the answer to one call: whoever causes it must not take the others' service away.
 */
const isForeignFailure = ({ status, headers }: Answer): boolean => status >= 500 && headers['content-type']?.startsWith('application/problem+json') !== true;

export const judgeAnswer = (answer: Answer): Tried => ({ answer, says: isForeignFailure(answer) ? 'dead' : 'alive' });

export function judgeError(error: unknown, { isHeavy }: CallPlan): Tried {
  const code = error instanceof AppError ? error.code : undefined;
  return { error, says: code === 'upstream_unavailable' || (code === 'upstream_timeout' && !isHeavy) ? 'dead' : 'nothing' };
}

const codeOf = (cause: unknown): unknown => (typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined);

/** May the same request be sent again? A service that says when to come again (Retry-After) is not asked sooner. */
export function mayRepeat({ answer, error }: Tried, { retry }: CallPlan): boolean {
  if (retry === 'never') return false;
  if (answer) return retry === 'read' && MAY_PASS.has(answer.status) && answer.headers['retry-after'] === undefined;
  if (!(error instanceof AppError)) return false;
  if (retry === 'read') return error.code === 'upstream_unavailable' || error.code === 'upstream_timeout';
  return error.code === 'upstream_unavailable' && typeof codeOf(error.cause) === 'string' && UNSENT.has(String(codeOf(error.cause)));
}
