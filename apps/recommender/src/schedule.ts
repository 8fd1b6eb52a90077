import type { Logger } from '@millrace/service';

/** Runs `work` every `everyMs`, never twice at once; a failure is logged and the next run comes. Returns the function that stops it. */
export function every(everyMs: number, logger: Logger, work: () => Promise<unknown>): () => void {
  let isRunning = false;
  const run = async (): Promise<void> => {
    if (isRunning) return;
    isRunning = true;
    try {
      await work();
    } catch (error) {
      logger.warn({ err: error }, 'housekeeping failed, it will be tried again');
    } finally {
      isRunning = false;
    }
  };
  const timer = setInterval(() => void run(), everyMs);
  return () => clearInterval(timer);
}
