import { setTimeout as delay } from 'node:timers/promises';

const isThere = <T>(value: T): value is Exclude<T, undefined | false> => value !== undefined && value !== false;

/** Resolves with the first result of `check` that neither throws nor is undefined or false; rejects with its last error after `timeoutMs`. */
export async function eventually<T>(check: () => T | Promise<T>, { timeoutMs = 30_000, everyMs = 10 } = {}): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  let lastError: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await check();
      if (isThere(value)) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(everyMs);
  }
  throw new Error(`not true within ${timeoutMs} ms`, { cause: lastError });
}
