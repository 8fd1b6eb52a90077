import type { Operation } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Policy } from '../policy.ts';
import { createResiliencePolicy } from './resilience-policy.ts';
import type { ServiceGuard } from './resilience-policy.ts';
import { checkOperationRules, operationRules, planOf, serviceTimes } from './resilience-table.ts';
import { createRetryBudget } from './retry-budget.ts';
import { breakerDefaults, createServiceBreaker } from './service-breaker.ts';
import type { BreakerOptions, BreakerState } from './service-breaker.ts';

export interface OpenResilienceOptions {
  readonly operations: readonly Operation[];
  readonly retryPercent: number;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly breaker?: BreakerOptions;
  readonly times?: typeof serviceTimes;
  readonly rules?: typeof operationRules;
}

const SELF = 'gateway';
const STATES: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

function logChange(logger: Logger, service: string): (state: BreakerState) => void {
  let wasClosed = true;
  return (state) => {
    // Every probe opens it half: only what callers notice is a change.
    if (state === 'half_open') return;
    if (wasClosed && state === 'open') logger.warn({ service }, 'a service fails and is left alone, one call at a time probes it');
    if (!wasClosed && state === 'closed') logger.info({ service }, 'a service answers again');
    wasClosed = state === 'closed';
  };
}

/** Timeouts, retries and breakers of all services. Throws where an operation has no times, or a rule no operation. */
export function openResilience({ operations, retryPercent, logger, metrics, breaker = breakerDefaults, times = serviceTimes, rules = operationRules }: OpenResilienceOptions): { readonly policy: Policy } {
  const labelNames = ['service'] as const;
  const retries = new Counter({ name: 'upstream_retries_total', help: 'Calls that were sent to a service a second time', labelNames, registers: [metrics] });
  const noBudget = new Counter({ name: 'upstream_retry_budget_exhausted_total', help: 'Calls that would have been repeated, had there been fewer repetitions already', labelNames, registers: [metrics] });
  const refused = new Counter({ name: 'upstream_breaker_refusals_total', help: 'Calls refused because the service is left alone', labelNames, registers: [metrics] });
  checkOperationRules(operations, rules);
  const plans = new Map(operations.filter(({ service }) => service !== SELF).map((operation) => [operation.operationId, planOf(operation, times, rules)]));
  const guards = new Map<string, ServiceGuard>();
  const guardOf = (service: string): ServiceGuard => {
    const known = guards.get(service);
    if (known) return known;
    const labels = { service };
    const guard = {
      breaker: createServiceBreaker(breaker, logChange(logger, service)), budget: createRetryBudget({ percent: retryPercent }),
      onRetry: () => retries.inc(labels), onNoBudget: () => noBudget.inc(labels), onRefused: () => refused.inc(labels),
    };
    guards.set(service, guard);
    return guard;
  };
  metrics.registerMetric(new Gauge({
    name: 'upstream_breaker_state', help: '0 closed, 1 a call probes the service, 2 the service is left alone', labelNames, registers: [],
    collect() {
      for (const [service, guard] of guards) this.set({ service }, STATES[guard.breaker.state()]);
    },
  }));
  return { policy: createResiliencePolicy((id) => plans.get(id), guardOf) };
}
