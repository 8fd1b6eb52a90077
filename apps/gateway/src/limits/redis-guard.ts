import { within } from '@millrace/service';
import { BrokenCircuitError, CircuitState, circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

/** What Redis says, or undefined: it failed, took too long, or failed a moment ago and is left alone. Never tried twice. */
export type AskRedis = <T>(ask: () => Promise<T>) => Promise<T | undefined>;

const TIMEOUT_MS = 50;
const FAILURES = 5;
const HALF_OPEN_MS = 500;
const SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

export interface RedisGuardDeps {
  readonly metrics: Registry;
  readonly onFailure: (error: unknown) => void;
  /** Default 50 ms. */
  readonly timeoutMs?: number | undefined;
}

/** After five failures in a row Redis is left alone for half a second; then one call tries. */
export function createRedisGuard({ metrics, onFailure, timeoutMs = TIMEOUT_MS }: RedisGuardDeps): AskRedis {
  const seconds = new Histogram({ name: 'rate_limit_redis_seconds', help: 'From asking Redis to its answer, whatever it was', buckets: SECONDS, registers: [metrics] });
  const breaker = circuitBreaker(handleAll, { halfOpenAfter: HALF_OPEN_MS, breaker: new ConsecutiveBreaker(FAILURES) });
  metrics.registerMetric(new Gauge({
    name: 'rate_limit_breaker_open', help: '1 while Redis is left alone and limits are local', registers: [],
    collect() { this.set(breaker.state === CircuitState.Closed ? 0 : 1); },
  }));
  const inTime = async <T>(ask: () => Promise<T>): Promise<T> => {
    const stop = seconds.startTimer();
    return await within(timeoutMs, ask(), () => new Error(`Redis did not answer within ${timeoutMs} ms`)).finally(stop);
  };
  return async (ask) => {
    try {
      return await breaker.execute(() => inTime(ask));
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) onFailure(error);
      return undefined;
    }
  };
}
