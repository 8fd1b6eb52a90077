import { pause } from './backoff.ts';

/** Calls `report` about every 5 s until it is stopped. A failure leaves the last figures: whether Redis is there is another metric's. */
export function reportRegularly(report: () => Promise<void>): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await report().catch(() => undefined);
      await pause(4_000 + Math.random() * 2_000, stopping.signal);
    }
  };
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
