import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { LivePointer } from './live-pointer.ts';
import type { ReaderDeps } from './read-subscribers.ts';
import type { ReadsDeps } from './reads.ts';

/** Numbers of lookups and the age of what is served; over seven days is an alarm. */
export function createLookupMetrics(metrics: Registry, pointer: () => LivePointer): ReaderDeps['onEvent'] {
  const reads = new Counter({ name: 'ut360_subscribers_read_total', help: 'Subscribers by where they were found (redis, postgres), known not to exist (absent), filled back (filled), and questions that failed', labelNames: ['event'], registers: [metrics] });
  // oxlint-disable-next-line no-new -- the registry keeps it
  new Gauge({
    name: 'ut360_pointer_age_seconds', help: 'Time since the live generation was switched to', registers: [metrics],
    collect() {
      this.set((Date.now() - Date.parse(pointer().current.switched_at)) / 1_000);
    },
  });
  // oxlint-disable-next-line no-new -- the registry keeps it
  new Gauge({
    name: 'ut360_generation', help: 'Live generation, by what it is the number of', labelNames: ['part'], registers: [metrics],
    collect() {
      for (const part of ['recommendations', 'profiles', 'arpu', 'redis'] as const) this.set({ part }, pointer().current[part]);
    },
  });
  return (event, count) => {
    if (count > 0) reads.inc({ event }, count);
  };
}

/** Questions that were meant for the replica. */
export function createReplicaMetrics(metrics: Registry): ReadsDeps['onEvent'] {
  const asked = new Counter({ name: 'ut360_replica_reads_total', help: 'Questions by whether the replica answered (replica), did not have the generation yet (behind), or failed (failed); the latter two were answered by the primary', labelNames: ['event'], registers: [metrics] });
  return (event) => asked.inc({ event });
}
