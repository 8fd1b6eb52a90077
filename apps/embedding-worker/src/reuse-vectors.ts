import type { VectorAdmin, VectorReader } from '@millrace/vectors';

/** The vector of a text that is stored elsewhere. */
export type KnownVector = (sku: string, textHash: string) => Promise<Float32Array | undefined>;

export interface VectorReuse {
  /** What the live collection holds, where it was made by the very model of the target; undefined where it was not. */
  of(target: string): Promise<KnownVector | undefined>;
  close(): Promise<void>;
}

/**
 * For models that cost money: a collection that is built anew by the same model, in another store above all, takes its vectors from the live
 * one. What cannot be read there is embedded.
 */
export function createVectorReuse(admin: Pick<VectorAdmin, 'liveCollection' | 'modelOf' | 'openReader'>): VectorReuse {
  let open: { readonly pair: string; readonly reader: Promise<VectorReader | undefined> } | undefined;
  const close = async (): Promise<void> => {
    const before = open;
    open = undefined;
    await (await before?.reader)?.close();
  };
  const openFor = async (target: string, live: string): Promise<VectorReader | undefined> => {
    const [wanted, held] = await Promise.all([admin.modelOf(target), admin.modelOf(live)]);
    return wanted.id === held.id ? admin.openReader(live) : undefined;
  };
  return {
    close,
    async of(target) {
      const live = await admin.liveCollection();
      if (live === undefined || live === target) return undefined;
      const pair = JSON.stringify([target, live]);
      if (open?.pair !== pair) {
        await close();
        open = { pair, reader: openFor(target, live).catch(() => undefined) }; // the live one cannot be read: all is embedded
      }
      const reader = await open.reader;
      if (reader === undefined) return undefined;
      return async (sku, textHash) => {
        const record = await reader.get(sku).catch(() => undefined); // the same
        return record?.textHash === textHash ? record.vector : undefined;
      };
    },
  };
}
