import { withMetrics, withTracing } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { interactions, searches } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Keys } from '@millrace/redis-kit';
import { AppError, within } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import type { Router } from 'express';
import type { Config } from '../config.ts';
import { analyticsRoutes } from './analytics.routes.ts';
import { countInteractions, countSearches } from './count-events.ts';
import { DAY_MS, HOUR_MS } from './deltas.ts';
import { createFreshReader } from './read-analytics.ts';
import { recount } from './recount.ts';
import type { Retention } from './roll-up.repository.ts';
import { startRollUp } from './roll-up.ts';
import { createSources } from './sources.ts';

export const ANALYTICS_GROUP = 'analytics';

export interface AnalyticsDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  readonly keys: Keys;
  readonly bus: ManagedBus;
  readonly isErased: (userId: string) => boolean;
  /** The group that writes the log. */
  readonly writerGroup: string;
  readonly settleMs?: number;
}

export interface Analytics {
  readonly routes: Router;
  /** Begins to count, and to roll up, where this instance is to. */
  start(): Promise<void>;
}

const BATCH = 500;
const LAG_TIMEOUT_MS = 1_000;

const retentionOf = (config: Config): Retention => ({
  minutesMs: config.ANALYTICS_MINUTES_KEEP_HOURS * HOUR_MS, hoursMs: config.ANALYTICS_HOURS_KEEP_DAYS * DAY_MS, daysMs: config.ANALYTICS_DAYS_KEEP === 0 ? undefined : config.ANALYTICS_DAYS_KEEP * DAY_MS,
});

/** Counts by time. Its connections are its own: whoever asks takes none from those who write events, nor from the roll-up. */
export function openAnalytics({ config, logger, metrics, onClose, keys, bus, isErased, writerGroup, settleMs }: AnalyticsDeps): Analytics {
  const openPool = (name: string, max: number) => {
    const pool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name, max, logger });
    onClose(() => pool.end());
    return pool;
  };
  const [pool, rollUpPool] = [openPool('event-ingest-analytics', 2), openPool('event-ingest-roll-up', 1)];
  const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'event-ingest:analytics' });
  onClose(() => closeRedis(redis));
  const sources = createSources(redis, keys);
  const retention = retentionOf(config);
  const lagOf = async (topic: typeof interactions | typeof searches, group: string): Promise<number> => (await within(LAG_TIMEOUT_MS, bus.lag(topic, group), () => new Error(`Redis did not answer within ${LAG_TIMEOUT_MS} ms`))).oldestAgeMs;
  const lagMs = async (): Promise<number> => Math.max(...(await Promise.all([lagOf(interactions, ANALYTICS_GROUP), lagOf(searches, ANALYTICS_GROUP)])));
  const readFresh = createFreshReader({ redis, sources, pool, lagMs, onFailure: (error) => logger.debug({ err: error }, 'analytics are answered without Redis') });
  const recountAgain = (range: { readonly from: string; readonly to: string }) =>
    recount({ pool, redis, sources, retention, lagsMs: () => Promise.all([lagOf(interactions, ANALYTICS_GROUP), lagOf(interactions, writerGroup)]) }, range).catch((error: unknown) => {
      if (error instanceof AppError) throw error;
      throw new AppError('unavailable', 'Redis or Postgres cannot be used now: the days that were done stay right, try again', { cause: error, headers: { 'Retry-After': '10' } });
    });
  const group = { group: ANALYTICS_GROUP, ordering: 'partition', batchSize: BATCH } as const;
  return {
    routes: analyticsRoutes({ pool, readFresh, retention, recount: recountAgain }),
    async start() {
      if (!config.ANALYTICS_ENABLED) return;
      const labels = (topic: string) => ({ topic, group: ANALYTICS_GROUP });
      const [ofInteractions, ofSearches] = [labels(interactions.name), labels(searches.name)];
      await bus.subscribe(interactions, group, withTracing(ofInteractions)(withMetrics({ registry: metrics, ...ofInteractions })(countInteractions({ redis, sources, isErased }))));
      await bus.subscribe(searches, group, withTracing(ofSearches)(withMetrics({ registry: metrics, ...ofSearches })(countSearches({ redis, sources }))));
      const rolling = startRollUp({ redis, sources, pool: rollUpPool, retention, everyMs: config.ANALYTICS_ROLLUP_MS, metrics, logger, ...(settleMs !== undefined && { settleMs }) });
      onClose(() => rolling.close());
    },
  };
}
