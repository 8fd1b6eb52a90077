import type { Limit } from './limit-table.ts';
import type { LimitState } from './limiter.ts';

const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));

/**
 * `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11 (lists of structured fields, RFC 9651): q = quota in units, w = window in
 * seconds; r = units left, t = seconds until there are more. Of a refusal t is Retry-After.
 */
export function policyHeader(limits: readonly Limit[]): string {
  let text = '';
  for (const { name, quota, windowSeconds } of limits) text += `${text === '' ? '' : ', '}"${name}";q=${quota};w=${windowSeconds}`;
  return text;
}
export function stateHeader(states: readonly LimitState[]): string {
  let text = '';
  for (const { limit, remaining, moreInMs } of states) text += `${text === '' ? '' : ', '}"${limit.name}";r=${remaining};t=${secondsOf(moreInMs)}`;
  return text;
}
export const retryAfterHeader = ({ moreInMs }: LimitState): string => String(secondsOf(moreInMs));
