import type { Logger } from '@millrace/service';
import { isFitDue } from './fit-schedule.ts';
import type { FitPolicy } from './fit-schedule.ts';

export interface FitWatchDeps {
  readonly everyMs: number;
  readonly policy: FitPolicy;
  /** Products with a vector in the live collection; undefined: there is none. */
  readonly count: () => Promise<number | undefined>;
  /** The live collection's model; undefined: there is none. */
  readonly model: () => Promise<{ readonly fittedOn: number; readonly dimensions: number } | undefined>;
  readonly dimensions: number;
  readonly lag: () => Promise<{ readonly messages: number }>;
  readonly msSinceLastFit: () => Promise<number>;
  /** Under the leader lock; undefined where another instance is at it. */
  readonly fit: () => Promise<unknown>;
  readonly logger: Logger;
}

/** Looks every `everyMs` whether a fit is due and does it, one at a time. Returns the function that stops it and waits for a fit in hand. */
export function startFitWatch({ everyMs, policy, count, model, dimensions, lag, msSinceLastFit, fit, logger }: FitWatchDeps): () => Promise<void> {
  let previousCount: number | undefined;
  let running: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    const now = await count();
    const live = await model();
    const situation = { count: now, previousCount, wrongDimensions: live !== undefined && live.dimensions !== dimensions, fittedOn: live?.fittedOn ?? 0, lag: (await lag()).messages, msSinceLastFit: await msSinceLastFit() };
    previousCount = now;
    if (isFitDue(situation, policy)) await fit();
  };
  const timer = setInterval(() => {
    running ??= look()
      .catch((error: unknown) => logger.warn({ err: error }, 'model fit failed, it will be tried again'))
      .finally(() => (running = undefined));
  }, everyMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}
