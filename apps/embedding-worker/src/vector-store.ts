import type { EventPublisher } from '@millrace/bus';
import { indexUpdates } from '@millrace/contracts';
import { modelId, parseEmbeddingModel, serializeModel } from '@millrace/embedding';
import type { EmbeddingModel } from '@millrace/embedding';
import { createLiveHealth } from '@millrace/projection';
import type { LiveHealth, RebuildStore } from '@millrace/projection';
import { isOfPreviousStore } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';
import type { Fit } from './fit.repository.ts';
import { askNeighbours } from './golden-neighbours.ts';
import { isDefinedAs } from './model-definition.ts';
import type { ModelDefinition } from './model-definition.ts';
import type { VectorReuse } from './reuse-vectors.ts';

export interface VectorStoreDeps {
  readonly admin: VectorAdmin;
  readonly collections: Collections;
  readonly bus: EventPublisher;
  readonly definition: ModelDefinition;
  readonly reuse: Pick<VectorReuse, 'of'>;
  readonly due: RebuildStore['due'];
  /** The model of a new collection. */
  readonly fit: (signal: AbortSignal) => Promise<EmbeddingModel>;
  /** Once for each collection. */
  readonly record: (fit: Fit) => Promise<void>;
}

/** Of an embedded collection. */
export const vectorHealth = (admin: Pick<VectorAdmin, 'modelOf' | 'count'>): LiveHealth =>
  createLiveHealth({ look: (collection) => admin.modelOf(collection), lookDeeper: (collection) => admin.count(collection) });

/** The vectors as rebuild jobs see them. Each collection has a model of its own: vectors of two models never meet. */
export function createVectorStore({ admin, collections, bus, definition, reuse, due, fit, record }: VectorStoreDeps): RebuildStore {
  const canOpen = async (collection: string): Promise<boolean> => {
    await admin.ping();
    return admin.count(collection).then(() => true, () => false);
  };
  return {
    name: 'vectors',
    live: () => admin.liveCollection(),
    due,
    canResume: async (collection) => !isOfPreviousStore(collection) && (await canOpen(collection)) && isDefinedAs(parseEmbeddingModel((await admin.modelOf(collection)).document), definition),
    // What was live in the store before is made live by choosing that store again, not by a rollback.
    isThere: async (collection) => !isOfPreviousStore(collection) && canOpen(collection),
    create: async (signal) => {
      const model = await fit(signal);
      return admin.createCollection({ id: modelId(model), dimensions: model.dimensions, document: serializeModel(model) });
    },
    fill: async (collection, changes) => {
      const known = definition.kind === 'openai' ? await reuse.of(collection) : undefined;
      const { waiting } = await collections.withOne(collection, (target) => embedProducts(target, changes, { known }));
      if (waiting !== undefined) throw waiting.error;
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
      const model = parseEmbeddingModel(document);
      await record({ collection, modelId: id, fittedOn: model.kind === 'tfidf-hashed' ? model.fittedOn : 0, startedAt: new Date().toISOString() });
      await bus.publish(indexUpdates, [{ type: 'swapped', store: 'vectors', index: collection, all: true }]);
    },
    drop: async (collection) => {
      await collections.reopen(collection);
      await admin.dropCollection(collection);
    },
    dropOthers: async (keep) => admin.dropOthers(keep),
  };
}
