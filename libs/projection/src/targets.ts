import type { Logger } from '@millrace/service';

export interface TargetsDeps<T> {
  /** Name of the live one; undefined: there is none. */
  readonly live: () => Promise<string | undefined>;
  /** Name of one that is being built. */
  readonly building: () => string | undefined;
  readonly open: (name: string) => Promise<T>;
  readonly close: (target: T) => Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** The physical stores that are written now, opened once and closed when nobody uses them and nothing names them any more. */
export interface Targets<T> {
  /** undefined: there is no live one. */
  readonly withLive: <R>(work: (target: T) => Promise<R>) => Promise<R | undefined>;
  readonly withOne: <R>(name: string, work: (target: T) => Promise<R>) => Promise<R>;
  /**
   * A live change: into the live one, whose result is answered, and into the one that is being built. Trouble with the latter is logged and
   * left to the rebuild's passes: live changes never wait for a rebuild.
   */
  readonly write: <R>(work: (target: T) => Promise<R>) => Promise<R | undefined>;
  /** Opens it again at the next use: its file or its connection is not what it was. */
  readonly reopen: (name: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

interface Entry<T> { readonly target: Promise<T>; users: number; isRetired: boolean }

export function createTargets<T>({ live, building, open, close, logger }: TargetsDeps<T>): Targets<T> {
  const entries = new Map<string, Entry<T>>();
  const closeEntry = async ({ target }: Entry<T>): Promise<void> => {
    const opened = await target.catch(() => undefined); // whoever asked for it was told
    if (opened !== undefined) await close(opened);
  };
  const retire = async (name: string): Promise<void> => {
    const entry = entries.get(name);
    if (!entry) return;
    entries.delete(name);
    entry.isRetired = true;
    if (entry.users === 0) await closeEntry(entry);
  };
  const use = async <R>(name: string, work: (target: T) => Promise<R>): Promise<R> => {
    const entry = entries.get(name) ?? { target: open(name), users: 0, isRetired: false };
    entries.set(name, entry);
    entry.users += 1;
    try {
      return await work(await entry.target);
    } finally {
      entry.users -= 1;
      const failed = await entry.target.then(() => false, () => true);
      if (failed && entries.get(name) === entry) entries.delete(name);
      if (entry.isRetired && entry.users === 0) await closeEntry(entry);
    }
  };
  /** Follows swaps of other instances. */
  const liveName = async (): Promise<string | undefined> => {
    const name = await live();
    for (const other of entries.keys()) if (other !== name && other !== building()) await retire(other);
    return name;
  };
  return {
    withOne: use,
    withLive: async (work) => {
      const name = await liveName();
      return name === undefined ? undefined : use(name, work);
    },
    write: async (work) => {
      const name = await liveName();
      const beside = building();
      const besides = beside === undefined || beside === name ? undefined : use(beside, work).catch((err: unknown) => logger.warn({ err, target: beside }, 'a live change did not reach what is being built, a later pass brings it'));
      try {
        return name === undefined ? undefined : await use(name, work);
      } finally {
        await besides;
      }
    },
    reopen: retire,
    close: async () => {
      for (const name of entries.keys()) await retire(name);
    },
  };
}
