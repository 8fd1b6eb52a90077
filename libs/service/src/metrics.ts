import { Registry, collectDefaultMetrics } from 'prom-client';

/** A registry of its own per service, with the process' default metrics. */
export function createMetrics(service: string): Registry {
  const metrics = new Registry();
  metrics.setDefaultLabels({ service });
  collectDefaultMetrics({ register: metrics });
  return metrics;
}
