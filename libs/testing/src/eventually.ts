import { setTimeout as delay } from 'node:timers/promises';

const isThere = <T>(value: T): value is Exclude<T, undefined | false> => value !== undefined && value !== false;

/** Whoever waits for long looks less often, and leaves the machine to what it waits for. */
const OFTEN = 20;
const SELDOM = 5;

/** Resolves with the first result of `check` that neither throws nor is undefined or false; rejects with its last error after `timeoutMs`. Looks every `everyMs`, after 20 times every five times as long. */
export async function eventually<T>(check: () => T | Promise<T>, { timeoutMs = 30_000, everyMs = 10 } = {}): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  let lastError: unknown;
  for (let looked = 1; Date.now() < deadline; looked += 1) {
    try {
      const value = await check();
      if (isThere(value)) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(looked < OFTEN ? everyMs : everyMs * SELDOM);
  }
  throw new Error(`not true within ${timeoutMs} ms`, { cause: lastError });
}
