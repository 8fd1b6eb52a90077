import type { PosCounts } from '@millrace/contracts';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

export interface PosMetrics {
  readonly asked: (endpoint: string, outcome: string) => void;
  readonly token: (event: string) => void;
  readonly ran: (state: 'done' | 'failed', counts: PosCounts | undefined) => void;
  readonly notified: (outcome: 'accepted' | 'repeated' | 'refused') => void;
}

export function createPosMetrics(metrics: Registry): PosMetrics {
  const asked = new Counter({ name: 'pos_requests_total', help: 'Questions to the point of sale by endpoint and outcome: ok, cached, or the code of the problem', labelNames: ['endpoint', 'outcome'], registers: [metrics] });
  const tokens = new Counter({ name: 'pos_tokens_total', help: 'Access tokens: asked for (refreshed), taken from another instance (adopted), refused', labelNames: ['event'], registers: [metrics] });
  const runs = new Counter({ name: 'pos_runs_total', help: 'Synchronisations that ended', labelNames: ['state'], registers: [metrics] });
  const products = new Counter({ name: 'pos_products_total', help: 'Products of synchronisations by what became of them', labelNames: ['outcome'], registers: [metrics] });
  const notified = new Counter({ name: 'pos_notifications_total', help: 'Notifications of the point of sale', labelNames: ['outcome'], registers: [metrics] });
  return {
    asked: (endpoint, outcome) => asked.inc({ endpoint, outcome }),
    token: (event) => tokens.inc({ event }),
    ran(state, counts) {
      runs.inc({ state });
      for (const [outcome, count] of Object.entries(counts ?? {})) products.inc({ outcome }, count);
    },
    notified: (outcome) => notified.inc({ outcome }),
  };
}
