import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export interface RelayMetrics {
  batch(stream: string, events: number): void;
  republished(stream: string, events: number): void;
  lost(stream: string): void;
  backlog(events: number, ageSeconds: number): void;
  leading(isLeading: boolean): void;
}

const nothing = (): void => undefined;

/** One relay to a registry; the label `schema` tells the relays of several processes apart. */
export function createRelayMetrics(registry: Registry | undefined, schema: string): RelayMetrics {
  if (!registry) return { batch: nothing, republished: nothing, lost: nothing, backlog: nothing, leading: nothing };
  const registers = [registry];
  const published = new Counter({ name: 'outbox_published_total', help: 'Events appended to a stream', labelNames: ['schema', 'stream'], registers });
  const sizes = new Histogram({ name: 'outbox_batch_events', help: 'Events of a relay batch', labelNames: ['schema'], buckets: [1, 10, 100, 500, 1_000, 2_000], registers });
  const republished = new Counter({ name: 'outbox_republished_total', help: 'Events appended again because Redis had lost them', labelNames: ['schema', 'stream'], registers });
  const lost = new Counter({ name: 'outbox_lost_total', help: 'Times that a stream was found behind or gone', labelNames: ['schema', 'stream'], registers });
  const backlog = new Gauge({ name: 'outbox_backlog_events', help: 'Rows that wait in the outbox, counted up to 100,000', labelNames: ['schema'], registers });
  const age = new Gauge({ name: 'outbox_lag_seconds', help: 'Age of the oldest row in the outbox', labelNames: ['schema'], registers });
  const leading = new Gauge({ name: 'outbox_relay_leading', help: '1 where this process runs the active relay', labelNames: ['schema'], registers });
  return {
    batch(stream, events) {
      published.inc({ schema, stream }, events);
      sizes.observe({ schema }, events);
    },
    republished: (stream, events) => republished.inc({ schema, stream }, events),
    lost: (stream) => lost.inc({ schema, stream }),
    backlog(events, ageSeconds) {
      backlog.set({ schema }, events);
      age.set({ schema }, ageSeconds);
    },
    leading: (isLeading) => leading.set({ schema }, isLeading ? 1 : 0),
  };
}
