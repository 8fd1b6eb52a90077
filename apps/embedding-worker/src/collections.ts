import { createTfIdfEmbedder, parseModel } from '@millrace/embedding';
import type { VectorAdmin } from '@millrace/vectors';
import type { Target } from './embed-products.ts';

export interface Collections {
  /** The collections that a live change goes into: the live one, and the one being built by this instance. Follows swaps of other instances. */
  targets(): Promise<readonly Target[]>;
  open(collection: string): Promise<Target>;
  /** From now on live changes go into this collection too; undefined: no more. */
  building(target: Target | undefined): void;
  close(): Promise<void>;
}

/** Opens writers once and gives them back while their collection is live. */
export function createCollections(admin: VectorAdmin): Collections {
  let live: Target | undefined;
  let inBuild: Target | undefined;
  const open = async (collection: string): Promise<Target> => {
    const model = await admin.modelOf(collection);
    return { collection, writer: await admin.openWriter(collection), embed: createTfIdfEmbedder(parseModel(model.document)) };
  };
  return {
    open,
    targets: async () => {
      const name = await admin.liveCollection();
      if (name !== undefined && name !== live?.collection) {
        const previous = live;
        live = inBuild?.collection === name ? inBuild : await open(name);
        await previous?.writer.close();
      }
      return [live, inBuild].filter((target, index, all) => target !== undefined && all.indexOf(target) === index).filter((target) => target !== undefined);
    },
    building: (target) => void (inBuild = target),
    close: async () => {
      for (const target of new Set([live, inBuild])) await target?.writer.close();
    },
  };
}
