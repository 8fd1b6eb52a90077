import { connectRedis, keysFor } from '@millrace/redis-kit';
import type { ServiceContext } from '@millrace/service';
import type { Pool } from 'pg';
import type { Config } from '../config.ts';
import { runLoadChild } from './load-child.ts';
import { createScheduleMetrics } from './schedule-metrics.ts';
import { startSchedule } from './start-schedule.ts';
import type { Schedule } from './start-schedule.ts';

/** A run that failed, or was broken off, is tried so often for one time. */
const MAX_ATTEMPTS = 6;

/** The schedule of loads, where there is a drop folder. Lookups do not need it: it never rejects, and the Redis of the bus may come later. */
export function openSchedule({ config, logger, metrics }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics'>, pool: Pool): Schedule | undefined {
  const { UT360_DROP_DIR: directory, REDIS_URL: busRedisUrl, UT360_SCHEDULE_RETRY_MS: retryMs } = config;
  if (directory === undefined) return undefined;
  const keys = keysFor(busRedisUrl);
  return startSchedule({
    connect: (role, silentSocketMs) => connectRedis(busRedisUrl, { role, name: 'ut360-lookup:schedule', ...(silentSocketMs !== undefined && { silentSocketMs }) }),
    prefix: keys.jobsPrefix, leaseKey: keys.lease('ut360-load').lease, pattern: config.UT360_SCHEDULE, timeZone: config.UT360_SCHEDULE_TZ,
    checkMs: config.UT360_SCHEDULE_CHECK_MS, leaseMs: config.UT360_SCHEDULE_LEASE_MS, retryMs, maxAttempts: MAX_ATTEMPTS, pool, logger, metrics: createScheduleMetrics(metrics),
    run: (dueAt, signal) => runLoadChild({
      signal, logger, onStep: ({ phase, dataset, done, total, rows }) => logger.debug({ phase, dataset, done, total, rows }, 'scheduled load'),
      settings: {
        dueAt: dueAt.toISOString(), logLevel: config.LOG_LEVEL, databaseUrl: config.DATABASE_DIRECT_URL ?? config.UT360_LOOKUP_DATABASE_URL, redisUrl: config.UT360_REDIS_URL, busRedisUrl, directory,
        names: { recommendations: config.UT360_DROP_RECOMMENDATIONS, profiles: config.UT360_DROP_PROFILES, arpu: config.UT360_DROP_ARPU },
        ...(config.UT360_ERASURE_SECRET !== undefined && { erasureSecret: config.UT360_ERASURE_SECRET }),
        ...(config.UT360_DROP_MAPPING !== undefined && { mappingFile: config.UT360_DROP_MAPPING }),
        maxBad: config.UT360_DROP_MAX_BAD, settleMs: config.UT360_DROP_SETTLE_MS, keep: config.UT360_KEEP_GENERATIONS, aliasKeys: config.UT360_ALIAS_KEYS,
        retryMs, maxAttempts: MAX_ATTEMPTS, leaseMs: config.UT360_SCHEDULE_LEASE_MS,
      },
    }),
  });
}
