import type { EventPublisher } from '@millrace/bus';
import type { ReconciledTarget } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { announceThenThrow } from './announce.ts';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface ReconciledCollectionDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection' | 'readVersions'>;
  readonly collections: Pick<Collections, 'withOne'>;
  readonly bus: EventPublisher;
}

/** The live collection as the reconciler sees it. */
export const reconciledCollection =
  ({ admin, collections, bus }: ReconciledCollectionDeps) =>
  async (): Promise<ReconciledTarget | undefined> => {
    const collection = await admin.liveCollection();
    if (collection === undefined) return undefined;
    return {
      name: collection,
      store: { readVersions: (ranges, signal) => admin.readVersions(collection, ranges, signal), versionsOf: (skus) => collections.withOne(collection, ({ writer }) => writer.describe(skus)) },
      repair: async (changes) => announceThenThrow(bus, await collections.withOne(collection, (target) => embedProducts(target, changes))),
    };
  };
