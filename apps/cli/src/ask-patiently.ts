import { setTimeout as delay } from 'node:timers/promises';
import { ProblemError, TransportError } from '@millrace/client/contract';

/** What a moment may mend; 502 and 504 are a gateway without its service. */
const PASSING = new Set([429, 502, 503, 504]);
export const isPassing = (error: unknown): boolean => error instanceof TransportError || (error instanceof ProblemError && PASSING.has(error.problem.status));

const GIVE_UP_AFTER_MS = 60_000;
const WAIT_MS = 500;

/** For looks at a job that goes on without this program: one that fails by what a moment may mend is repeated, for a minute. @throws the last failure */
export async function askPatiently<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + GIVE_UP_AFTER_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const waitMs = Math.max(WAIT_MS, error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0);
      if (!isPassing(error) || performance.now() + waitMs > endMs) throw error;
      await delay(waitMs);
    }
  }
}
