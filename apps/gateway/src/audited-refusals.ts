import type { Logger } from '@millrace/service';
import { LRUCache } from 'lru-cache';

/** Of one caller, a minute and instance. */
export const RECORDED_REFUSALS = 60;
const MINUTE_MS = 60_000;
/** Answers that a caller can have as often as it likes: what lacks the scope, or is too large, is not counted by rate limits, and what they refuse costs nothing. */
const REFUSALS = new Set([403, 413, 429]);

export interface Ended {
  readonly caller: { readonly id: string; readonly workspaceId: string };
  readonly status: number;
  /** Was what answers the operation asked? Where not, a failure had no effect: the gateway was overloaded, had no room, could not count, or the caller has gone. */
  readonly wasAsked: boolean;
}

/**
 * Shall this answer be in the audit log? Whatever was let in, and of each caller's refusals, and failures without an effect, the first 60 of a minute; then
 * one warning. The log is kept for ever, and a publishable key, which everybody can read, would fill the disk.
 */
export function createAuditedRefusals(logger: Pick<Logger, 'warn'>): (ended: Ended) => boolean {
  const counts = new LRUCache<string, { refused: number }>({ max: 10_000, ttl: MINUTE_MS });
  return ({ caller: { id, workspaceId }, status, wasAsked }) => {
    if (wasAsked ? !REFUSALS.has(status) : status < 400) return true;
    const caller = `${workspaceId} ${id}`;
    const count = counts.get(caller) ?? { refused: 0 };
    if (count.refused === 0) counts.set(caller, count);
    count.refused += 1;
    if (count.refused === RECORDED_REFUSALS + 1) logger.warn({ keyId: id, workspaceId, recorded: RECORDED_REFUSALS }, 'more refused calls of this caller are not in the audit log for a minute');
    return count.refused <= RECORDED_REFUSALS;
  };
}
