import { describeError } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import type { ContextWriter } from '@millrace/context';
import { interactions } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import type { MonthPartitions } from './month-partitions.ts';

export interface HousekeepingDeps {
  readonly bus: Pick<ManagedBus, 'trimAcknowledged'>;
  readonly context: Pick<ContextWriter, 'forgetOldIds'>;
  readonly partitions: Pick<MonthPartitions, 'ensureAhead'>;
  readonly logger: Logger;
  readonly everyMs?: number;
}

/**
 * Every ten seconds: what every group has acknowledged leaves the stream, old event ids are forgotten, and the next months have partitions. Safe on
 * several instances at once. Returns the function that stops it.
 */
export function startHousekeeping({ bus, context, partitions, logger, everyMs = 10_000 }: HousekeepingDeps): () => void {
  const tried = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => logger.warn({ what, error: describeError(error) }, 'housekeeping failed, it will be tried again'));
  };
  const run = async (): Promise<void> => {
    // The writer has no bootstrap, so it is never passed over (I7); others that stand still for six hours are.
    await tried('stream', () => bus.trimAcknowledged(interactions, { keep: 0 }));
    await tried('event ids', () => context.forgetOldIds());
    await tried('partitions', () => partitions.ensureAhead());
  };
  void run();
  const timer = setInterval(() => void run(), everyMs);
  return () => clearInterval(timer);
}
