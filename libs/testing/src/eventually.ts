import { setTimeout as delay } from 'node:timers/promises';

/** Resolves with the first result of `check` that neither throws nor is undefined or false; rejects with its last error after `timeoutMs`. */
export async function eventually<T>(check: () => T | Promise<T>, { timeoutMs = 10_000, everyMs = 10 } = {}): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  let lastError: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(everyMs);
  }
  throw new Error(`not true within ${timeoutMs} ms`, { cause: lastError });
}
