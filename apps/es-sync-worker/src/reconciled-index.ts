import type { EventPublisher } from '@millrace/bus';
import type { ReconciledTarget } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import { indexProducts, report } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface ReconciledIndexDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'readVersions' | 'versionsOf'>;
  readonly indexes: Pick<Indexes, 'withOne'>;
  readonly tracker: SyncTracker;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
}

/** The live index as the reconciler sees it. The tracker is not asked: what it says is part of what is checked. */
export const reconciledIndex =
  ({ admin, indexes, tracker, bus, logger }: ReconciledIndexDeps) =>
  async (): Promise<ReconciledTarget | undefined> => {
    const index = await admin.liveIndex();
    if (index === undefined) return undefined;
    return {
      name: index,
      store: { readVersions: (ranges, signal) => admin.readVersions(index, ranges, signal), versionsOf: (skus) => admin.versionsOf(index, skus) },
      repair: async (changes) => {
        const done = await indexes.withOne(index, (target) => indexProducts({ tracker }, target, changes));
        report(done, logger);
        await announce(bus, done.accepted);
      },
    };
  };
