import type { EventPublisher } from '@millrace/bus';
import type { ReconciledTarget } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import { indexProducts, report } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface ReconciledIndexDeps {
  readonly admin: Pick<SearchAdmin, 'readVersions' | 'versionsOf'>;
  readonly indexes: Pick<Indexes, 'live'>;
  readonly tracker: SyncTracker;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
}

/** The live index as the reconciler sees it. The tracker is not asked: what it says is part of what is checked. */
export const reconciledIndex =
  ({ admin, indexes, tracker, bus, logger }: ReconciledIndexDeps) =>
  async (): Promise<ReconciledTarget | undefined> => {
    const target = await indexes.live();
    if (!target) return undefined;
    const { index } = target;
    return {
      name: index,
      store: { readVersions: (ranges, signal) => admin.readVersions(index, ranges, signal), versionsOf: (skus) => admin.versionsOf(index, skus) },
      repair: async (changes) => {
        const done = await indexProducts({ tracker }, target, changes);
        report(done, logger);
        await announce(bus, done.accepted);
      },
    };
  };
