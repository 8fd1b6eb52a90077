import type { EventPublisher } from '@millrace/bus';
import { indexUpdates } from '@millrace/contracts';
import { modelId, parseModel, serializeModel } from '@millrace/embedding';
import type { TfIdfModel } from '@millrace/embedding';
import { createLiveHealth } from '@millrace/projection';
import type { LiveHealth, RebuildStore } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';
import type { Fit } from './fit.repository.ts';
import { askNeighbours } from './golden-neighbours.ts';

export interface VectorStoreDeps {
  readonly admin: VectorAdmin;
  readonly collections: Collections;
  readonly bus: EventPublisher;
  readonly dimensions: number;
  readonly due: RebuildStore['due'];
  /** A model of the catalogue as it is now. */
  readonly fit: (signal: AbortSignal) => Promise<TfIdfModel>;
  /** Once for each collection. */
  readonly record: (fit: Fit) => Promise<void>;
}

/** Of an embedded collection. */
export const vectorHealth = (admin: Pick<VectorAdmin, 'modelOf' | 'count'>): LiveHealth =>
  createLiveHealth({ look: (collection) => admin.modelOf(collection), lookDeeper: (collection) => admin.count(collection) });

/** The vectors as rebuild jobs see them. Each collection has a model of its own: vectors of two models never meet. */
export function createVectorStore({ admin, collections, bus, dimensions, due, fit, record }: VectorStoreDeps): RebuildStore {
  const canOpen = async (collection: string): Promise<boolean> => {
    await admin.ping();
    return admin.count(collection).then(() => true, () => false);
  };
  return {
    name: 'vectors',
    live: () => admin.liveCollection(),
    due,
    canResume: async (collection) => (await canOpen(collection)) && (await admin.modelOf(collection)).dimensions === dimensions,
    isThere: canOpen,
    create: async (signal) => {
      const model = await fit(signal);
      return admin.createCollection({ id: modelId(model), dimensions: model.dimensions, document: serializeModel(model) });
    },
    fill: async (collection, changes) => {
      await collections.withOne(collection, (target) => embedProducts(target, changes));
      return [];
    },
    versions: (collection) => ({
      readVersions: (ranges, signal) => admin.readVersions(collection, ranges, signal),
      versionsOf: (skus) => collections.withOne(collection, ({ writer }) => writer.describe(skus)),
    }),
    ask: (target, _live, signal) => askNeighbours(admin, target, signal),
    swap: (collection) => admin.swapTo(collection),
    swapped: async (collection) => {
      await collections.withLive(async () => undefined); // closes the one before
      const { id, document } = await admin.modelOf(collection);
      await record({ collection, modelId: id, fittedOn: parseModel(document).fittedOn, startedAt: new Date().toISOString() });
      await bus.publish(indexUpdates, [{ type: 'swapped', store: 'vectors', index: collection, all: true }]);
    },
    drop: async (collection) => {
      await collections.reopen(collection);
      await admin.dropCollection(collection);
    },
    dropOthers: async (keep) => admin.dropOthers(keep),
  };
}
