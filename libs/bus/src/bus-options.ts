import { hostname } from 'node:os';
import type { Registry } from 'prom-client';
import { createBusMetrics, silentLogger } from './metrics.ts';
import type { BusLogger, BusMetrics } from './metrics.ts';

/** The options that the bus of every engine has. */
export interface BusOptions {
  readonly batchSize?: number;
  readonly blockMs?: number;
  /** Entries that a consumer has not touched for so long are another's. Handlers may take longer: their entries are touched meanwhile. */
  readonly claimIdleMs?: number;
  /** Handlings after which an entry is parked. */
  readonly maxDeliveries?: number;
  /** Must be unique among running processes and stable over restarts. Default: the host's name. */
  readonly consumer?: string;
  /** First wait before a retry; doubles up to 5 s. */
  readonly retryBaseMs?: number;
  /** Consumers that hold nothing and were not seen for so long are removed from their group. Default an hour. */
  readonly forgetConsumersMs?: number;
  /** A consumer that does not answer for so long loses its partitions (only where they are leased). Default 10 s. */
  readonly leaseMs?: number;
  /** Partitions by topic, as this service is configured: another number in Redis refuses its subscriptions; other engines have one each. Default: whatever a topic has; one for a new one. */
  readonly partitions?: Readonly<Record<string, number>>;
  /** Characters of events that may be on their way at once, default 16 Mi, and that may wait besides, default 64 Mi; beyond, `publish` rejects. */
  readonly maxInFlight?: number;
  readonly maxWaiting?: number;
  readonly logger?: BusLogger;
  readonly metrics?: Registry;
}

export type FilledBusOptions = Required<Omit<BusOptions, 'metrics'>> & { readonly metrics: BusMetrics };

export const withBusDefaults = <T extends BusOptions>(given: T): Omit<T, keyof BusOptions> & FilledBusOptions => ({
  batchSize: 64, blockMs: 2_000, claimIdleMs: 30_000, maxDeliveries: 5, retryBaseMs: 100, forgetConsumersMs: 3_600_000, leaseMs: 10_000,
  partitions: {}, maxInFlight: 16_777_216, maxWaiting: 67_108_864, consumer: hostname(), logger: silentLogger, ...given, metrics: createBusMetrics(given.metrics),
});
