import type { Logger } from './logger.ts';

export interface EveryOptions {
  /** For the log: what is done, such as `search log`. */
  readonly what: string;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Runs `work` every `everyMs`, the first time after that long, never twice at once; a failure is logged and the next run comes. Returns the function that stops it: a run in hand goes on. */
export function every(everyMs: number, { what, logger }: EveryOptions, work: () => Promise<unknown>): () => void {
  let isRunning = false;
  const run = async (): Promise<void> => {
    if (isRunning) return;
    isRunning = true;
    try {
      await work();
    } catch (error) {
      logger.warn({ what, err: error }, 'housekeeping failed, it will be tried again');
    } finally {
      isRunning = false;
    }
  };
  const timer = setInterval(() => void run(), everyMs);
  return () => clearInterval(timer);
}
