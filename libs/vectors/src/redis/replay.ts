import { setTimeout as delay } from 'node:timers/promises';

/** A second of an append-only file that is written every second, and as much again where the disk is slow; with a margin. */
const windowMs = 5_000;
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/** Does again what a server may have lost that has restarted (`appendfsync everysec` loses the last second of a crash). */
export interface Replay {
  /** This has been acknowledged, and may be done again at any time. */
  remember(work: () => Promise<unknown>): void;
  /** The connection was lost and is there again: to another life of the server, or to another server? */
  reconnected(): void;
  /** Resolves when nothing has to be done again, so that no later write overtakes an earlier one. */
  settled(): Promise<void>;
}

/** `identify`: differs after a restart of the server. `signal` ends what is tried again. */
export function createReplay(identify: () => Promise<string | undefined>, signal: AbortSignal): Replay {
  let recent: { readonly atMs: number; readonly work: () => Promise<unknown> }[] = [];
  /** Whose acknowledgements these are. */
  let server: string | undefined;
  let isDue = true;
  let running: Promise<void> | undefined;
  let isRetrying = false;

  const settle = async (): Promise<void> => {
    isDue = false;
    try {
      const now = await identify();
      if (server !== undefined && now !== server) for (const { work } of recent) await work();
      server = now;
    } catch (error) {
      isDue = true;
      throw error;
    }
  };
  const settled = async (): Promise<void> => {
    if (!isDue && running === undefined) return;
    await (running ??= settle().finally(() => (running = undefined)));
    // The connection may have been lost again meanwhile.
    await settled();
  };

  /** At once, not with the next write, and again until it is done: what fails here has nobody else who asks. */
  const retry = async (): Promise<void> => {
    if (isRetrying) return;
    isRetrying = true;
    for (let delayMs = firstRetryMs; !signal.aborted; delayMs = Math.min(2 * delayMs, maxRetryMs)) {
      if (await settled().then(() => true, () => false)) break;
      await delay(delayMs, undefined, { signal }).catch(() => undefined);
    }
    isRetrying = false;
  };

  return {
    settled,
    remember(work) {
      const atMs = Date.now();
      // Measured from the last acknowledgement, not from now: a server may be away for long.
      recent = [...recent.filter((one) => one.atMs > atMs - windowMs), { atMs, work }];
    },
    reconnected() {
      isDue = true;
      void retry();
    },
  };
}
