import type { ContextWriter, Written } from '@millrace/context';
import { within } from '@millrace/service';
import { circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Acknowledged } from './acknowledged.ts';
import type { BatchWriter } from './collect.ts';

/** Rejects where Redis has not taken them in time, is too full, or failed a moment ago: any of them may have been appended. Sending them again is safe. */
export type LiveWriter = BatchWriter<Written>;

export interface LiveWriterDeps {
  readonly context: ContextWriter;
  readonly acknowledged: Acknowledged;
  readonly timeoutMs: number;
  /** Redis has room for new events. */
  readonly hasRoom: () => boolean;
  readonly metrics: Registry;
}

const FAILURES = 5;
const HALF_OPEN_MS = 500;
const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];

/** The event script behind a timeout and a breaker: after five failures in a row Redis is left alone for half a second. */
export function createLiveWriter({ context, acknowledged, timeoutMs, hasRoom, metrics }: LiveWriterDeps): LiveWriter {
  const seconds = new Histogram({ name: 'event_script_seconds', help: 'From sending the events of one script to its answer, whatever it was', buckets: SECONDS, registers: [metrics] });
  const breaker = circuitBreaker(handleAll, { halfOpenAfter: HALF_OPEN_MS, breaker: new ConsecutiveBreaker(FAILURES) });
  const writeInTime: LiveWriter['write'] = async (events) => {
    const stop = seconds.startTimer();
    const written = await within(timeoutMs, context.write(events).finally(stop), () => new Error(`Redis did not answer within ${timeoutMs} ms`));
    acknowledged.add(events);
    return written;
  };
  return {
    async write(events) {
      if (!hasRoom()) throw new Error('Redis is nearly full');
      return breaker.execute(() => writeInTime(events));
    },
  };
}
