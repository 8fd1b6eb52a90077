import type { BusLogger, BusMetrics, GroupLabels } from './metrics.ts';
import type { GroupLag } from './redis/lag.ts';
import { reportRegularly } from './report-regularly.ts';

export interface ReportLagDeps {
  readonly labels: GroupLabels;
  readonly read: () => Promise<GroupLag>;
  readonly metrics: BusMetrics;
  readonly logger: BusLogger;
}

/** Of the 100,000 that a group may have. */
const DEAD_LETTER_ALARM = 80_000;

/** Shows how far a group is, and says once when its dead letters are nearly full. */
export function reportLag({ labels, read, metrics, logger }: ReportLagDeps): { stop(): Promise<void> } {
  let isAlarmed = false;
  return reportRegularly(async () => {
    const lag = await read();
    metrics.lag(labels, lag);
    const isTooMany = lag.deadLetters >= DEAD_LETTER_ALARM;
    if (isTooMany && !isAlarmed) logger.error({ ...labels, deadLetters: lag.deadLetters }, 'dead letters are nearly full: replay or discard them before the oldest are dropped');
    isAlarmed = isTooMany;
  });
}
