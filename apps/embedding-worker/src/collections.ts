import { openEmbedder, parseEmbeddingModel } from '@millrace/embedding';
import type { OpenRemoteEmbedder } from '@millrace/embedding';
import { createTargets } from '@millrace/projection';
import type { Targets } from '@millrace/projection';
import type { Logger } from '@millrace/service';
import type { VectorAdmin } from '@millrace/vectors';
import type { Target } from './embed-products.ts';

/** The collections that are written now, each with its own model: the live one, and the one that is being built. */
export type Collections = Targets<Target>;

export interface CollectionsDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection' | 'modelOf' | 'openWriter'>;
  /** Name of the collection that is being built, by whatever instance. */
  readonly building: () => string | undefined;
  /** Of models that a service computes. */
  readonly openRemote: OpenRemoteEmbedder;
  readonly logger: Pick<Logger, 'warn'>;
}

export const createCollections = ({ admin, building, openRemote, logger }: CollectionsDeps): Collections =>
  createTargets({
    live: () => admin.liveCollection(),
    building,
    open: async (collection) => {
      const model = await admin.modelOf(collection);
      return { collection, writer: await admin.openWriter(collection), embed: await openEmbedder(parseEmbeddingModel(model.document), openRemote) };
    },
    close: ({ writer }) => writer.close(),
    logger,
  });
