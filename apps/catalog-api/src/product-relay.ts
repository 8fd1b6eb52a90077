import { checkPartitions, parsePartitions } from '@millrace/bus';
import type { ManagedBus, Topic } from '@millrace/bus';
import { createOutboxWaker, createRelay, outboxChannel } from '@millrace/outbox';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Pool } from 'pg';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';

export interface ProductRelayDeps {
  readonly config: Config;
  readonly pool: Pool;
  readonly topic: Topic;
  readonly bus: ManagedBus;
  readonly logger: Logger;
  readonly metrics: Registry;
}

export interface ProductRelay {
  /** After a commit: the relay looks at once. Returns at once, never throws. */
  readonly wake: () => void;
  /** Is this the one instance that publishes and trims now? */
  readonly isLeading: () => boolean;
  close(): Promise<void>;
}

const SCHEMA = 'catalog';
const TRIM_EVERY_MS = 10_000;
/** So that consumers' freshness says something while nothing is written. */
const HEARTBEAT_MS = 10_000;

/**
 * The outbox of the catalogue: its relay to `product:updates`, and the trimming of what every group has acknowledged. Needs no broker to start.
 * @throws PartitionMismatchError where BUS_PARTITIONS contradicts the topic
 */
export async function startProductRelay({ config, pool, topic, bus, logger, metrics }: ProductRelayDeps): Promise<ProductRelay> {
  const connect = () => connectRedis(config.REDIS_URL, { role: 'background', name: 'catalog-api:relay' });
  const directUrl = config.DATABASE_DIRECT_URL ?? config.CATALOG_API_DATABASE_URL;
  const shared = { keys: keysFor(config.REDIS_URL), partitions: parsePartitions(config.BUS_PARTITIONS), logger, metrics };
  const { durable } = bus;
  if (!durable) {
    const probe = connect();
    await checkPartitions(probe, shared.keys, shared.partitions).finally(() => void closeRedis(probe));
  }
  const relay = createRelay({ ...shared, pool, directUrl, connect, durable, schema: SCHEMA, topics: [topic], pollMs: config.RELAY_POLL_MS, heartbeatMs: HEARTBEAT_MS });
  const waker = createOutboxWaker(pool, { channel: outboxChannel(SCHEMA) });
  const stopTrimming = every(TRIM_EVERY_MS, { what: 'product stream', logger }, async () => {
    if (!relay.isLeading()) return;
    const removed = await bus.trimAcknowledged(topic, { keep: config.PRODUCT_STREAM_RETENTION_KEEP });
    if (removed > 0) logger.debug({ removed, topic: topic.name }, 'trimmed acknowledged entries');
  });
  return {
    wake: () => waker.wake(),
    isLeading: () => relay.isLeading(),
    close: async () => {
      stopTrimming();
      await relay.close();
    },
  };
}
