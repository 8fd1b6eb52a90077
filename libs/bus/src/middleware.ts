import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { backoffMs, pause } from './backoff.ts';
import type { BatchHandler } from './bus.ts';
import type { AnyEvent } from './codec.ts';
import { isFinal, isUnavailable, PartialFailureError } from './errors.ts';

/** The handler did not end in time. It counts as an attempt: an event that hangs its handler is poison. */
export class HandlerTimeoutError extends Error {
  override readonly name = 'HandlerTimeoutError';
}

/**
 * Rejects a handling after `ms` and aborts its `delivery.signal`: a handler that listens to it ends; one that does not goes on in the
 * background, and may run together with its own repetition.
 */
export const withTimeout =
  (ms: number) =>
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) => {
    const late = new AbortController();
    const signal = delivery ? AbortSignal.any([delivery.signal, late.signal]) : late.signal;
    const timedOut = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const error = new HandlerTimeoutError(`the handler did not end within ${ms} ms`);
      late.abort(error);
      timedOut.reject(error);
    }, ms);
    try {
      await Promise.race([handle(events, { partition: 0, ...delivery, signal }), timedOut.promise]);
    } finally {
      clearTimeout(timer);
    }
  };

export interface RetryOptions {
  /** Handlings in all. */
  readonly attempts: number;
  /** First wait; doubles, with jitter. */
  readonly baseMs?: number;
}

/**
 * Tries a batch again at once, before the bus does: for hiccups of a few milliseconds. To the bus all tries are one handling. Errors that
 * are final, partial or an unavailable sink go to the bus at once, which knows better.
 */
export const withRetry =
  ({ attempts, baseMs = 20 }: RetryOptions) =>
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await handle(events, delivery);
      } catch (error) {
        if (attempt >= attempts || isFinal(error) || isUnavailable(error) || error instanceof PartialFailureError || delivery?.signal.aborted === true) throw error;
        await pause(backoffMs(attempt, baseMs), delivery?.signal ?? new AbortController().signal);
      }
    }
  };

export interface HandlerMetricsOptions {
  readonly registry: Registry;
  readonly topic: string;
  readonly group: string;
}

/** Duration of handlings by their result, and the events in them: `bus_handler_seconds{topic,group,result}`, `bus_handler_events_total`. */
export function withMetrics({ registry, topic, group }: HandlerMetricsOptions): <E>(handle: BatchHandler<E>) => BatchHandler<E> {
  const labelNames = ['topic', 'group', 'result'];
  const known = [registry.getSingleMetric('bus_handler_seconds'), registry.getSingleMetric('bus_handler_events_total')];
  const seconds = known[0] instanceof Histogram ? known[0] : new Histogram({ name: 'bus_handler_seconds', help: 'Duration of one handling of a batch', labelNames, registers: [registry] });
  const handled = known[1] instanceof Counter ? known[1] : new Counter({ name: 'bus_handler_events_total', help: 'Events in handlings', labelNames, registers: [registry] });
  return (handle) => async (events, delivery) => {
    const stop = seconds.startTimer({ topic, group });
    const end = (result: 'ok' | 'error'): void => {
      stop({ result });
      handled.inc({ topic, group, result }, events.length);
    };
    try {
      await handle(events, delivery);
    } catch (error) {
      end('error');
      throw error;
    }
    end('ok');
  };
}

/**
 * Handles a batch as a whole; where that fails, each of its events alone, and reports exactly those that fail: the bus acknowledges the
 * others at once and puts only these off. For handlers that are idempotent (all are) and whose events do not depend on each other.
 */
export const isolateFailures =
  <E extends AnyEvent>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) => {
    try {
      return await handle(events, delivery);
    } catch (error) {
      if (events.length === 1 || isUnavailable(error)) throw error;
    }
    const failures = new Map<string, unknown>();
    for (const event of events) {
      try {
        await handle([event], delivery);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        failures.set(event.meta.streamId ?? '', error);
      }
    }
    if (failures.size > 0) throw new PartialFailureError(failures);
  };
