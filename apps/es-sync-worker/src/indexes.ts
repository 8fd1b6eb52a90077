import type { SearchAdmin } from '@millrace/search';
import type { Target } from './index-products.ts';

export interface Indexes {
  /** The indexes that a live change goes into: the live one, and the one being built by this instance. Follows swaps of other instances. */
  targets(): Promise<readonly Target[]>;
  /** The live one; undefined before the first resync. */
  live(): Promise<Target | undefined>;
  open(index: string): Promise<Target>;
  /** From now on live changes go into this index too; undefined: no more. */
  building(target: Target | undefined): void;
  close(): Promise<void>;
}

/** Opens writers once and gives them back while their index is live. */
export function createIndexes(admin: SearchAdmin): Indexes {
  let current: Target | undefined;
  let inBuild: Target | undefined;
  const open = async (index: string): Promise<Target> => ({ index, writer: await admin.openWriter(index) });
  const live = async (): Promise<Target | undefined> => {
    const name = await admin.liveIndex();
    if (name === undefined || name === current?.index) return current;
    const previous = current;
    current = inBuild?.index === name ? inBuild : await open(name);
    await previous?.writer.close();
    return current;
  };
  return {
    live,
    open,
    targets: async () => [...new Set([await live(), inBuild])].filter((target) => target !== undefined),
    building: (target) => void (inBuild = target),
    close: async () => {
      for (const target of new Set([current, inBuild])) await target?.writer.close();
    },
  };
}
