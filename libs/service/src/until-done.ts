import { setTimeout as delay } from 'node:timers/promises';

export interface UntilDoneOptions {
  readonly signal: AbortSignal;
  readonly onFailure: (error: unknown) => void;
  readonly firstDelayMs?: number;
  readonly maxDelayMs?: number;
}

/** Tries until it works (undefined counts as not yet), with exponential back-off; rejects only when aborted. For what a service cannot start without. */
export async function untilDone<T>(work: () => Promise<T | undefined>, { signal, onFailure, firstDelayMs = 200, maxDelayMs = 5_000 }: UntilDoneOptions): Promise<T> {
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    signal.throwIfAborted();
    try {
      const result = await work();
      if (result !== undefined) return result;
    } catch (error) {
      onFailure(error);
    }
    await delay(delayMs * (0.75 + Math.random() / 2), undefined, { signal });
  }
}
