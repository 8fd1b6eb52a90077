import { parsePartitions } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { openBus as openConfiguredBus } from '@millrace/open-bus';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';

/** The bus that the configuration names; connects when it is used. */
export const openBus = (config: Config, logger: Logger, metrics: Registry): Promise<ManagedBus> =>
  openConfiguredBus({
    config, name: 'embedding-worker', logger, metrics, partitions: parsePartitions(config.BUS_PARTITIONS),
    batchSize: config.PRODUCT_STREAM_BATCH_SIZE, blockMs: config.PRODUCT_STREAM_BLOCK_MS, claimIdleMs: config.PRODUCT_STREAM_CLAIM_IDLE_MS,
    ...(config.PRODUCT_STREAM_CONSUMER !== undefined && { consumer: config.PRODUCT_STREAM_CONSUMER }),
  });
