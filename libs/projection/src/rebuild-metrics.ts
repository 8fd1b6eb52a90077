import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { etaSeconds } from './rate.ts';
import type { RebuildJob } from './rebuild-job.ts';

/** Shows the unfinished job, or that there is none, with the label `store`. */
export function createRebuildMetrics(registry: Registry | undefined, store: string): (job: RebuildJob | undefined) => void {
  if (!registry) return () => undefined;
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, labelNames: ['store'], registers: [registry] });
  const isRunning = gauge('rebuild_running', '1 while a rebuild is unfinished');
  const rows = gauge('rebuild_rows', 'Rows that the unfinished rebuild has stored');
  const total = gauge('rebuild_total_rows', 'Rows that its first pass will have, about; 0 where unknown');
  const rate = gauge('rebuild_rows_per_second', 'Of late');
  const eta = gauge('rebuild_eta_seconds', 'Until its first pass is through; 0 where unknown');
  const failed = gauge('rebuild_last_failed', '1 where the last finished rebuild failed');
  return (job) => {
    const now = job?.finishedAt === null ? job : undefined;
    isRunning.set({ store }, now ? 1 : 0);
    rows.set({ store }, now?.rows ?? 0);
    total.set({ store }, now?.total ?? 0);
    rate.set({ store }, now?.rowsPerSecond ?? 0);
    eta.set({ store }, now ? (etaSeconds(now) ?? 0) : 0);
    if (!now) failed.set({ store }, job?.phase === 'failed' ? 1 : 0);
  };
}
