import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@millrace/service';
import type { Reconciler, Verification } from './reconcile.ts';

export interface ReconcileRegularlyDeps {
  readonly reconciler: Reconciler;
  /** The last verification of any instance. */
  readonly last: () => Promise<Verification | undefined>;
  /** 0 = never. */
  readonly everyMs: number;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Compares and mends every `everyMs`, one instance for all; the metrics of each tell of the last verification of any. Returns the function that stops it and waits for what is in hand. */
export function reconcileRegularly({ reconciler, last, everyMs, logger }: ReconcileRegularlyDeps): () => Promise<void> {
  const stopping = new AbortController();
  // One that only looked has mended nothing: whoever looks often must not put off the repair for ever.
  const isFresh = (verification: Verification | undefined): boolean => verification !== undefined && verification.remaining === 0 && verification.inFlight === 0 && Date.now() - Date.parse(verification.finishedAt) < everyMs / 2;
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        const known = await last();
        if (known) reconciler.show(known);
        if (!isFresh(known)) await reconciler.run({ repair: true });
      } catch (err) {
        logger.warn({ err }, 'the store could not be compared with the catalogue, it will be tried again');
      }
    }
  };
  const running = everyMs > 0 ? loop() : undefined;
  return async () => {
    stopping.abort();
    await running;
  };
}
