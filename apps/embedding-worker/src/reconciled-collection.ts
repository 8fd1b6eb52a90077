import type { EventPublisher } from '@millrace/bus';
import type { ReconciledTarget } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { announce } from './announce.ts';
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
      // A text whose model does not answer stays a difference, and does not hold up the others.
      repair: async (changes) => {
        const { changed } = await collections.withOne(collection, (target) => embedProducts(target, changes));
        await announce(bus, changed.filter((item) => !item.again));
      },
    };
  };
