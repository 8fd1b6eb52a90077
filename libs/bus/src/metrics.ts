import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

/** What the bus tells of a consumer; pino's signature. */
export interface BusLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLogger: BusLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export type ConsumedResult = 'handled' | 'skipped' | 'heartbeat' | 'parked' | 'deleted';

export interface BusMetrics {
  published(topic: string, count: number): void;
  consumed(labels: GroupLabels, result: ConsumedResult, count: number): void;
  /** Handlings that failed; `unavailable` ones do not count as attempts. */
  failed(labels: GroupLabels, kind: 'unavailable' | 'rejected'): void;
  redelivered(labels: GroupLabels, count: number): void;
  reclaimed(labels: GroupLabels, count: number): void;
  /** Commit time of the newest event or heartbeat that was dealt with. */
  fresh(labels: GroupLabels, timestamp: string): void;
  gap(topic: string): void;
  /** `dropped`: old dead letters that had to go. */
  deadLettered(labels: GroupLabels, count: number, dropped: number): void;
  lag(labels: GroupLabels, lag: { readonly messages: number; readonly oldestAgeMs: number; readonly deadLetters: number }): void;
  trimmed(topic: string, count: number): void;
  passedOver(labels: GroupLabels): void;
  leases(labels: GroupLabels, held: number): void;
}

const nothing = (): void => undefined;

export interface GroupLabels {
  readonly topic: string;
  readonly group: string;
}

/** Several buses of one process share a registry: a metric that is there already is used again. */
function counter(registry: Registry, name: string, help: string, labelNames: string[]): Counter {
  const existing = registry.getSingleMetric(name);
  return existing instanceof Counter ? existing : new Counter({ name, help, labelNames, registers: [registry] });
}
function gauge(registry: Registry, name: string, help: string, labelNames: string[]): Gauge {
  const existing = registry.getSingleMetric(name);
  return existing instanceof Gauge ? existing : new Gauge({ name, help, labelNames, registers: [registry] });
}

export function createBusMetrics(registry: Registry | undefined): BusMetrics {
  if (!registry) {
    return {
      published: nothing, consumed: nothing, failed: nothing, redelivered: nothing, reclaimed: nothing, fresh: nothing, gap: nothing,
      deadLettered: nothing, lag: nothing, trimmed: nothing, passedOver: nothing, leases: nothing,
    };
  }
  const group = ['topic', 'group'];
  const published = counter(registry, 'bus_published_total', 'Events appended to a topic', ['topic']);
  const consumed = counter(registry, 'bus_consumed_total', 'Entries acknowledged, by what became of them', [...group, 'result']);
  const failed = counter(registry, 'bus_failed_total', 'Handlings that rejected', [...group, 'kind']);
  const redelivered = counter(registry, 'bus_redelivered_total', 'Entries handled singly after a failure or a takeover', group);
  const reclaimed = counter(registry, 'bus_reclaimed_total', 'Entries taken over from consumers that are gone', group);
  const newest = new Map<string, number>();
  const fresh = gauge(registry, 'bus_fresh_timestamp_seconds', 'Commit time of the newest entry dealt with', group);
  const gap = counter(registry, 'bus_broadcast_gaps_total', 'Times that a broadcast subscription may have missed events', ['topic']);
  const deadLettered = counter(registry, 'bus_dead_lettered_total', 'Entries moved to the dead letters', group);
  const dropped = counter(registry, 'bus_dead_letters_dropped_total', 'Old dead letters that had to go because there were too many', group);
  const deadLetters = gauge(registry, 'bus_dead_letters', 'Dead letters that wait for somebody', group);
  const lag = gauge(registry, 'bus_lag_messages', 'Entries that the group has not acknowledged: pending and unread', group);
  const oldest = gauge(registry, 'bus_lag_oldest_seconds', 'Age of the oldest entry that the group has not acknowledged', group);
  const trimmed = counter(registry, 'bus_trimmed_total', 'Entries removed because no group needs them any more', ['topic']);
  const passedOver = counter(registry, 'bus_groups_passed_over_total', 'Times that a group was passed over by trimming and has to bootstrap', group);
  const leases = gauge(registry, 'bus_leases', 'Partitions that this process holds', group);
  return {
    deadLettered(labels, count, droppedCount) {
      deadLettered.inc({ ...labels }, count);
      if (droppedCount > 0) dropped.inc({ ...labels }, droppedCount);
    },
    lag(labels, now) {
      lag.set({ ...labels }, now.messages);
      oldest.set({ ...labels }, now.oldestAgeMs / 1_000);
      deadLetters.set({ ...labels }, now.deadLetters);
    },
    trimmed: (topic, count) => trimmed.inc({ topic }, count),
    passedOver: (labels) => passedOver.inc({ ...labels }),
    leases: (labels, held) => leases.set({ ...labels }, held),
    published: (topic, count) => published.inc({ topic }, count),
    consumed: (labels, result, count) => consumed.inc({ ...labels, result }, count),
    failed: (labels, kind) => failed.inc({ ...labels, kind }),
    redelivered: (labels, count) => redelivered.inc({ ...labels }, count),
    reclaimed: (labels, count) => reclaimed.inc({ ...labels }, count),
    fresh: (labels, timestamp) => {
      const seconds = Date.parse(timestamp) / 1_000;
      const key = `${labels.topic} ${labels.group}`;
      // Retries are older than what went on meanwhile.
      if (!Number.isFinite(seconds) || seconds < (newest.get(key) ?? 0)) return;
      newest.set(key, seconds);
      fresh.set({ ...labels }, seconds);
    },
    gap: (topic) => gap.inc({ topic }),
  };
}
