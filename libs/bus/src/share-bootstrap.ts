import type { BootstrapNeed } from './group-log.ts';

/**
 * One reading of the export serves every partition of a subscription that needed it before the reading began, so that a topic of eight
 * partitions is not bootstrapped eight times. Both times are the broker's.
 */
export function shareBootstrap(read: () => Promise<void>): (need: BootstrapNeed) => Promise<void> {
  let latest: { readonly startedAt: number; readonly done: Promise<void> } | undefined;
  return async ({ since, now }) => {
    if (!latest || latest.startedAt <= since) latest = { startedAt: now, done: read() };
    const mine = latest;
    try {
      await mine.done;
    } catch (error) {
      if (latest === mine) latest = undefined;
      throw error;
    }
  };
}
