import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { ScheduleState } from './schedule-runs.repository.ts';

export interface ScheduleMetrics {
  running(is: boolean): void;
  /** What all instances together did last, so every instance shows the same. */
  state(state: ScheduleState): void;
}

const STATES = ['loaded', 'nothing', 'waiting', 'refused', 'failed', 'stopped', 'abandoned', 'running'];

export function createScheduleMetrics(metrics: Registry): ScheduleMetrics {
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge => new Gauge({ name, help, labelNames, registers: [metrics] });
  const running = gauge('ut360_schedule_running', 'This instance does a scheduled load now');
  const last = gauge('ut360_schedule_last_run', 'How the last run ended: 1 for its state', ['state']);
  const success = gauge('ut360_schedule_last_success_timestamp_seconds', 'End of the last run that loaded or found nothing new, seconds since 1970; 0 = never');
  const seconds = gauge('ut360_schedule_last_run_seconds', 'How long the last run took');
  const rows = gauge('ut360_schedule_last_run_rows', 'Rows that the last run loaded', ['dataset']);
  return {
    running: (is) => running.set(is ? 1 : 0),
    state({ state, outcome, lastSuccess }) {
      for (const one of STATES) last.set({ state: one }, one === state ? 1 : 0);
      success.set(lastSuccess);
      rows.reset();
      if (outcome === undefined) return;
      seconds.set(outcome.seconds);
      for (const [dataset, count] of Object.entries(outcome.rows)) rows.set({ dataset }, count);
    },
  };
}
