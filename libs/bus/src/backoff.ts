/** Exponential from `baseMs` to 5 s, with jitter over its upper half. `attempt` counts from 1. */
export function backoffMs(attempt: number, baseMs = 100): number {
  const full = Math.min(5_000, baseMs * 2 ** Math.min(attempt - 1, 12));
  return full / 2 + (Math.random() * full) / 2;
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
