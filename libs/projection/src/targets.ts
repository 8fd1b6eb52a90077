import { within } from '@millrace/service';
import type { Logger } from '@millrace/service';

export interface TargetsDeps<T> {
  /** Name of the live one; undefined: there is none. */
  readonly live: () => Promise<string | undefined>;
  /** Name of one that is being built. */
  readonly building: () => string | undefined;
  readonly open: (name: string) => Promise<T>;
  readonly close: (target: T) => Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
  /** How long a live change waits for the one that is being built. Default 1,000. */
  readonly patienceMs?: number;
}

/** The physical stores that are written now, opened once and closed when nobody uses them and nothing names them any more. */
export interface Targets<T> {
  /** undefined: there is no live one. */
  readonly withLive: <R>(work: (target: T) => Promise<R>) => Promise<R | undefined>;
  readonly withOne: <R>(name: string, work: (target: T) => Promise<R>) => Promise<R>;
  /**
   * A live change: into the live one, whose result is answered, and into the one that is being built. Trouble with the latter is logged and
   * left to the rebuild's passes. One that hangs is waited for once, for `patienceMs`, and gets no live changes until it has answered.
   */
  readonly write: <R>(work: (target: T) => Promise<R>) => Promise<R | undefined>;
  /** Opens it again at the next use: its file or its connection is not what it was. */
  readonly reopen: (name: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

type Use<T> = <R>(name: string, work: (target: T) => Promise<R>) => Promise<R>;

/** Writes into the one that is being built: never rejects, and resolves within `patienceMs`. What it does not take, a later pass of the rebuild brings. */
function createBeside<T>(use: Use<T>, { logger, patienceMs }: { readonly logger: Pick<Logger, 'warn'>; readonly patienceMs: number }): (target: string, work: (target: T) => Promise<unknown>) => Promise<void> {
  const hanging = new Set<string>();
  return async (target, work) => {
    if (hanging.has(target)) return;
    const writing = use(target, work)
      .catch((err: unknown) => logger.warn({ err, target }, 'a live change did not reach what is being built, a later pass brings it'))
      .finally(() => hanging.delete(target));
    await within(patienceMs, writing, () => new Error(`${target} did not answer within ${patienceMs} ms`)).catch((err: unknown) => {
      hanging.add(target);
      logger.warn({ err, target }, 'what is being built takes no live changes for now, a later pass brings them');
    });
  };
}

interface Entry<T> { readonly target: Promise<T>; users: number; isRetired: boolean }

export function createTargets<T>({ live, building, open, close, logger, patienceMs = 1_000 }: TargetsDeps<T>): Targets<T> {
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
  const use: Use<T> = async (name, work) => {
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
  const writeBeside = createBeside(use, { logger, patienceMs });
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
      const besides = beside === undefined || beside === name ? undefined : writeBeside(beside, work);
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
