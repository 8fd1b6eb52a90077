import { hostname } from 'node:os';
import { LeaseLostError, openLease } from '@millrace/redis-kit';
import type { Keys, Lease, Redis } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { GatewayDb } from '../database.ts';
import type { Delegate } from '../keys/delegation.ts';
import type { CallStep } from './call-step.ts';
import type { PlanCalls } from './plan-calls.ts';
import { claimPlan, findFence, findRunnable, instanceName } from './plan-record.repository.ts';
import { runPlan } from './run-plan.ts';
import type { TellSession } from './tell-session.ts';

export interface PlanRunnerDeps {
  readonly db: GatewayDb;
  /** Of the role `background`. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly calls: PlanCalls;
  readonly callStep: CallStep;
  readonly delegate: Delegate;
  readonly tellSession: TellSession;
  readonly leaseMs: number;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly patienceMs?: number;
}

export interface PlanRunner {
  /** From now on plans are run, by calls to this address. */
  start(baseUrl: string): void;
  /** Looks at this plan now. */
  kick(planId: string): void;
  /** No further step begins; waits for those under way, up to `graceMs`, and gives their plans back. */
  close(graceMs?: number): Promise<void>;
}

/** Plans at once in one process; others are left to other gateways, or wait. */
const AT_ONCE = 100;
const LOOK_EVERY_MS = 1_000;
const GRACE_MS = 3_500;
/** Redis or Postgres away is said so often, not for each plan each second. */
const LOG_EVERY_MS = 10_000;
/** The lease's number grows with the clock: it may be forgotten once no holder can be left. */
const FENCE_KEPT_MS = 86_400_000;

function createPlanMetrics(metrics: Registry, running: () => number) {
  metrics.registerMetric(new Gauge({ name: 'plans_running', help: 'Plans that this gateway runs now', registers: [], collect() { this.set(running()); } }));
  return {
    steps: new Counter({ name: 'plan_calls_total', help: 'Calls of steps, by what came of them', labelNames: ['result'], registers: [metrics] }),
    runs: new Counter({ name: 'plan_runs_total', help: 'Plans that this gateway took, to run them or to go on: ended; lost (another one has it, Postgres says so); failed (Redis or Postgres away)', labelNames: ['result'], registers: [metrics] }),
  };
}

interface Taking { readonly name: string; readonly counted: ReturnType<typeof createPlanMetrics>; readonly stopping: AbortSignal }

/** Runs one plan, where nobody else has it. Rejects where Redis or Postgres cannot be asked. */
const createTakePlan = ({ db, redis, keys, logger, leaseMs, calls, callStep, delegate, tellSession, patienceMs }: PlanRunnerDeps, { name, counted, stopping }: Taking) => {
  const runHeld = async (planId: string, lease: Lease, baseUrl: string): Promise<void> => {
    const holder = { planId, fence: lease.fencingNumber };
    const plan = await claimPlan(db, holder, name);
    if (!plan) {
      // It has ended a moment ago; or nobody can take it, and somebody must know.
      const known = await findFence(db, planId);
      if (known !== undefined) logger.warn({ plan: planId, fence: holder.fence, known }, 'a plan has a larger number than Redis gives: is its clock behind?');
      return counted.runs.inc({ result: 'lost' });
    }
    const onStep = (result: string): void => counted.steps.inc({ result });
    await runPlan({ db, calls, callStep, delegate, baseUrl, logger, onStep, onRecord: () => tellSession.tell({ ...plan, planId }), ...(patienceMs !== undefined && { patienceMs }) }, { plan, holder, lease, stopping });
    counted.runs.inc({ result: 'ended' });
  };
  return async (planId: string, baseUrl: string): Promise<void> => {
    const names = keys.lease(`plan:${planId}`);
    const lease = await openLease({ redis, keys: names, ttlMs: leaseMs });
    if (!lease) return;
    try {
      await redis.call('PEXPIRE', [names.fence, FENCE_KEPT_MS]);
      await runHeld(planId, lease, baseUrl);
    } finally {
      await lease.release();
    }
  };
};

/** Each text so often. */
function seldom(say: (error: unknown, what: string) => void): (error: unknown, what: string) => void {
  const said = new Map<string, number>();
  return (error, what) => {
    if (performance.now() - (said.get(what) ?? -Infinity) < LOG_EVERY_MS) return;
    said.set(what, performance.now());
    say(error, what);
  };
}

/** Runs plans that somebody asked to run, whichever gateway heard of it, and goes on with those whose gateway died: one gateway at a time has a plan, by a lease in Redis, and Postgres refuses the records of any before it. */
export function createPlanRunner(deps: PlanRunnerDeps): PlanRunner {
  const { db, logger } = deps;
  const active = new Map<string, Promise<void>>();
  const counted = createPlanMetrics(deps.metrics, () => active.size);
  const stopping = new AbortController();
  const take = createTakePlan(deps, { name: instanceName(hostname()), counted, stopping: stopping.signal });
  let baseUrl: string | undefined;
  const warn = seldom((error, what) => logger.warn({ err: error }, what));
  let stops: readonly (() => void)[] = [];

  const kick = (planId: string): void => {
    if (baseUrl === undefined || stopping.signal.aborted || active.has(planId) || active.size >= AT_ONCE) return;
    const running = take(planId, baseUrl)
      .catch((error: unknown) => {
        if (error instanceof LeaseLostError) return;
        counted.runs.inc({ result: 'failed' });
        warn(error, 'a plan cannot go on now: it will be tried again');
      })
      .finally(() => active.delete(planId));
    active.set(planId, running);
  };
  return {
    kick,
    start(url) {
      baseUrl = url;
      stops = [
        every(LOOK_EVERY_MS, { what: 'plans to run', logger }, async () => (await findRunnable(db, AT_ONCE * 2)).forEach(kick)),
        every(LOOK_EVERY_MS, { what: 'sessions of plans', logger }, () => deps.tellSession.tellOwed().catch((error: unknown) => warn(error, 'the sessions of some plans cannot be told of them now: it will be tried again'))),
      ];
    },
    async close(graceMs = GRACE_MS) {
      for (const stop of stops) stop();
      stopping.abort();
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, graceMs);
      await Promise.race([Promise.allSettled(active.values()), late]);
      clearTimeout(timer);
    },
  };
}
