import type { Operation } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Policy } from '../policy.ts';
import { problemAnswer } from '../problem-answer.ts';
import { createClassTable } from './call-class.ts';
import { createPressure } from './pressure.ts';
import type { Pressure } from './pressure.ts';

export interface OpenSheddingOptions {
  readonly operations: readonly Operation[];
  /** Lag of the event loop above which calls are refused; 0 = never. */
  readonly limitMs: number;
  readonly logger: Logger;
  readonly metrics: Registry;
  /** Processor time that this process has used; default `process.cpuUsage`. */
  readonly cpuUsage?: () => NodeJS.CpuUsage;
}

const EVERY_MS = 50;
/** With less of a processor than this a process was kept waiting by the machine: refusing calls would not help. A container may be allowed no more than half of one. */
const STARVED = 0.4;

/** Part of the time in which this process had a processor. A loop that waits for one looks busy to itself. */
const processorShare = (from: NodeJS.CpuUsage, to: NodeJS.CpuUsage, spanMs: number): number => (to.user + to.system - from.user - from.system) / (spanMs * 1_000);

/** Tells how late each timer was, until it is stopped. */
function watchLag(sample: Pressure['sample'], cpuUsage: () => NodeJS.CpuUsage): () => void {
  let before = performance.now();
  let used = performance.eventLoopUtilization();
  let cpu = cpuUsage();
  const timer = setInterval(() => {
    const now = performance.now();
    const spanMs = now - before;
    before = now;
    const { utilization } = performance.eventLoopUtilization(used);
    const share = processorShare(cpu, cpuUsage(), spanMs);
    used = performance.eventLoopUtilization();
    cpu = cpuUsage();
    sample(Math.max(0, spanMs - EVERY_MS), spanMs, share < STARVED ? 0 : utilization);
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** The outermost policy: a process that is behind refuses before anything else is done for a call. */
export const createSheddingPolicy = (classOf: ReturnType<typeof createClassTable>, pressure: Pressure, onShed: (callClass: string) => void): Policy => (operation, answer) => {
  const callClass = classOf(operation);
  if (callClass === 'never') return answer;
  return async (call) => {
    if (!pressure.refuses(callClass)) return await answer(call);
    onShed(callClass);
    return problemAnswer(new AppError('unavailable', 'this gateway is overloaded: nothing was done, try again', { headers: { 'Retry-After': '1' } }), call.requestId);
  };
};

/** Throws where a class names an unknown operation. */
export function openShedding({ operations, limitMs, logger, metrics, cpuUsage = () => process.cpuUsage() }: OpenSheddingOptions): { readonly policy: Policy; close(): void } {
  const classOf = createClassTable(operations);
  const shed = new Counter({ name: 'shed_calls_total', help: 'Calls refused because the event loop lagged', labelNames: ['class'], registers: [metrics] });
  const pressure = createPressure({
    limitMs,
    onChange: (isShedding, lagMs) => {
      if (isShedding) logger.warn({ lagMs: Math.round(lagMs) }, 'the event loop lags: calls are refused');
      else logger.info({}, 'no calls are refused any more');
    },
  });
  metrics.registerMetric(new Gauge({ name: 'shedding_loop_lag_seconds', help: 'How late the event loop was just now', registers: [], collect() { this.set(pressure.lagMs() / 1_000); } }));
  if (limitMs === 0) return { policy: (_operation, answer) => answer, close: () => undefined };
  return { policy: createSheddingPolicy(classOf, pressure, (callClass) => shed.inc({ class: callClass })), close: watchLag((lagMs, spanMs, utilization) => pressure.sample(lagMs, spanMs, utilization), cpuUsage) };
}
