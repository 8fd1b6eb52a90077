import type { ContextWriter, Written } from '@millrace/context';
import { circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import type { Acknowledged } from './acknowledged.ts';
import type { KnownInteraction } from './interaction.repository.ts';

export interface LiveWriter {
  /** Rejects where Redis has not taken them in time, is too full, or failed a moment ago: any of them may have been appended. Sending them again is safe. */
  write(events: readonly KnownInteraction[]): Promise<readonly Written[]>;
}

export interface LiveWriterDeps {
  readonly context: ContextWriter;
  readonly acknowledged: Acknowledged;
  readonly timeoutMs: number;
  /** Redis has room for new events. */
  readonly hasRoom: () => boolean;
}

const FAILURES = 5;
const HALF_OPEN_MS = 500;

/** Rejects where the work takes longer. A process that was busy so long reads what has arrived meanwhile first. */
function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error(`Redis did not answer within ${timeoutMs} ms`));
    const timer = setTimeout(() => setImmediate(() => setImmediate(late)), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The event script behind a timeout and a breaker: after five failures in a row Redis is left alone for half a second. */
export function createLiveWriter({ context, acknowledged, timeoutMs, hasRoom }: LiveWriterDeps): LiveWriter {
  const breaker = circuitBreaker(handleAll, { halfOpenAfter: HALF_OPEN_MS, breaker: new ConsecutiveBreaker(FAILURES) });
  const writeInTime = async (events: readonly KnownInteraction[]): Promise<readonly Written[]> => {
    const written = await within(timeoutMs, context.write(events));
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
