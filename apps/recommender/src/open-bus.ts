import { createRedisStreamsBus, parsePartitions } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';

/** The bus that the configuration names; connects when it is used. */
export const openBus = (config: Config, logger: Logger, metrics: Registry): RedisStreamsBus =>
  createRedisStreamsBus({
    connect: (role) => connectRedis(config.REDIS_URL, { role, name: `recommender:${role}` }), logger, metrics,
    keys: keysFor(config.REDIS_URL), partitions: parsePartitions(config.BUS_PARTITIONS), batchSize: config.INTERACTION_BATCH_SIZE, claimIdleMs: config.INTERACTION_CLAIM_IDLE_MS,
  });
