import { MAX_ANALYTICS_POINTS } from '@millrace/contracts';
import type { AnalyticsGranularity } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import { DAY_MS, HOUR_MS, MINUTE_MS } from './deltas.ts';
import { floor } from './roll-up.repository.ts';

/** Milliseconds since 1970, whole granules. */
export interface Range {
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  readonly granularity: AnalyticsGranularity;
}

export interface RangeBounds {
  readonly nowMs: number;
  /** Before it nothing is kept. */
  readonly oldestMs: number;
  readonly maxPoints?: number;
}

export const stepOf = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS } as const satisfies Record<AnalyticsGranularity, number>;
const defaultSpan = { minute: HOUR_MS, hour: DAY_MS, day: 30 * DAY_MS } as const satisfies Record<AnalyticsGranularity, number>;
const OLDEST_EVENT = Date.UTC(2000, 0, 1);
const COARSER = { minute: 'use hour or day', hour: 'use day', day: 'ask for a later time' } as const;

const refuse = (pointer: string, detail: string): AppError => new AppError('invalid_request', `query ${pointer}: ${detail}`, { details: [{ in: 'query', pointer, detail }] });

const ceil = (at: number, step: number): number => Math.ceil(at / step) * step;

/** What a request asks for: from taken down, to taken up to whole granules. Never beyond the granule of now. */
export function rangeOf(query: { readonly from?: string | undefined; readonly to?: string | undefined; readonly granularity: AnalyticsGranularity }, { nowMs, oldestMs, maxPoints = MAX_ANALYTICS_POINTS }: RangeBounds): Range {
  const { granularity } = query;
  const stepMs = stepOf[granularity];
  const end = floor(nowMs, stepMs) + stepMs;
  const toGiven = query.to === undefined ? nowMs : Date.parse(query.to);
  const fromGiven = query.from === undefined ? ceil(Math.min(toGiven, nowMs), stepMs) - defaultSpan[granularity] : Date.parse(query.from);
  if (!(fromGiven < toGiven)) throw refuse('/from', 'must be before to');
  if (fromGiven < OLDEST_EVENT) throw refuse('/from', 'must be after 1999');
  if (fromGiven >= end) throw refuse('/from', 'must not be in the future');
  const from = floor(fromGiven, stepMs);
  const to = Math.min(ceil(toGiven, stepMs), end);
  if (to <= oldestMs) throw refuse('/to', `is before ${new Date(oldestMs).toISOString()}, and by ${granularity} nothing older is kept: ${COARSER[granularity]}`);
  // The default may begin before what is kept; what was asked for by name may not.
  if (from < oldestMs && query.from !== undefined) throw refuse('/from', `is before ${new Date(oldestMs).toISOString()}, and by ${granularity} nothing older is kept: ${COARSER[granularity]}`);
  const points = (to - from) / stepMs;
  if (points > maxPoints) throw refuse('/granularity', `makes ${points} points of this time, and at most ${maxPoints} are answered: ${COARSER[granularity]}, or ask for a shorter time`);
  return { from: Math.max(from, oldestMs), to, stepMs, granularity };
}
