import { setTimeout as delay } from 'node:timers/promises';
import { VectorsUnavailableError } from './errors.ts';
import type { VectorAdmin, VectorReader } from './ports.ts';

export interface SwitchingAdminOptions {
  /** The store that is configured now. */
  readonly current: VectorAdmin;
  /** The one before, which stays live until `current` has a live collection. */
  readonly previous: VectorAdmin;
  /** What the previous one is called, such as `embedded`. */
  readonly previousName: string;
}

const separator = '!';

/** Is it a collection of the store before, which a rebuild must replace? Names of collections have no "!". */
export const isOfPreviousStore = (collection: string): boolean => collection.includes(separator);

/**
 * Two stores as one, while the second takes the first one's place: until `current` has a live collection the previous store's is live, under the
 * name `<previousName>!<collection>`, and takes live changes; new collections are made in `current`, and `swapTo` ends it. What is in the previous
 * store is never dropped: taking the choice back finds it as it was at the swap. Closes both.
 */
export function createSwitchingVectorAdmin({ current, previous, previousName }: SwitchingAdminOptions): VectorAdmin {
  const prefix = `${previousName}${separator}`;
  /** The store of a collection, and its name there. */
  const storeOf = (collection: string): readonly [VectorAdmin, string] => (collection.startsWith(prefix) ? [previous, collection.slice(prefix.length)] : [current, collection]);
  const askPrevious = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      throw new VectorsUnavailableError(`the vector store before (${previousName}) did not answer, and the new one is not live yet: bring it back, or remove VECTOR_STORE_PREVIOUS to go on without it`, { cause: error });
    }
  };
  const liveCollection = async (): Promise<string | undefined> => {
    const live = await current.liveCollection();
    if (live !== undefined) return live;
    const before = await askPrevious(() => previous.liveCollection());
    return before === undefined ? undefined : `${prefix}${before}`;
  };
  return {
    liveCollection,
    createCollection: (model) => current.createCollection(model),
    modelOf: (collection) => {
      const [store, name] = storeOf(collection);
      return store.modelOf(name);
    },
    openWriter: (collection) => {
      const [store, name] = storeOf(collection);
      return store.openWriter(name);
    },
    dropCollection: async (collection) => {
      if (!collection.startsWith(prefix)) await current.dropCollection(collection);
    },
    swapTo: async (collection) => {
      if (collection.startsWith(prefix)) throw new VectorsUnavailableError(`${collection} is in the store before: to go back to it, set VECTOR_STORE back to ${previousName}`);
      await current.swapTo(collection);
    },
    dropOthers: (keep) => current.dropOthers(keep),
    count: (collection) => {
      const [store, name] = storeOf(collection);
      return store.count(name);
    },
    readVersions: (collection, ranges, signal) => {
      const [store, name] = storeOf(collection);
      return store.readVersions(name, ranges, signal);
    },
    openReader: (collection) => {
      const [store, name] = storeOf(collection);
      return store.openReader(name);
    },
    purgeTombstones: (olderThanDays) => current.purgeTombstones(olderThanDays),
    ping: async () => {
      await current.ping();
      if ((await current.liveCollection()) === undefined) await askPrevious(() => previous.ping());
    },
    close: async () => {
      await current.close();
      await previous.close();
    },
  };
}

export interface SwitchingReaderOptions {
  readonly current: VectorReader;
  readonly previous: VectorReader;
  /** Told when `current` cannot be asked whether it is live; at most once in `everyMs`. */
  readonly onTrouble?: (error: unknown) => void;
  /** How often it is asked whether `current` is live. Default 1,000. */
  readonly everyMs?: number;
}

/** Longest wait of the first call for that answer. */
const firstWaitMs = 500;

/**
 * Answers from the previous store until the current one has a live collection, which it notices within `everyMs`; from then on only from
 * the current one. While the current one cannot be asked the previous one answers, also after a restart: set it aside once it is not needed.
 */
export function createSwitchingVectorReader({ current, previous, onTrouble, everyMs = 1_000 }: SwitchingReaderOptions): VectorReader {
  let isSwitched = false;
  let checkedMs = -Infinity;
  let hasFailed = false;
  let checking: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    try {
      isSwitched = (await current.model()) !== undefined;
      hasFailed = false;
    } catch (error) {
      hasFailed = true;
      onTrouble?.(error);
    } finally {
      checkedMs = performance.now();
      checking = undefined;
    }
  };
  /** Nobody waits for the new store but the first caller, and that one not for long. */
  const pick = async (): Promise<VectorReader> => {
    if (isSwitched) return current;
    const isFirst = checkedMs === -Infinity;
    if (performance.now() - checkedMs >= everyMs) checking ??= look();
    if (isFirst) await Promise.race([checking, delay(firstWaitMs, undefined, { ref: false })]);
    return isSwitched ? current : previous;
  };
  /** Where the store before has nothing to say the new one may have it by now: only then its answer is waited for. */
  const isLiveNow = async (): Promise<boolean> => {
    // An answer that was asked for before may be older than the swap.
    await checking;
    // One that could not be asked a moment ago is not waited for again.
    if (!isSwitched && !(hasFailed && performance.now() - checkedMs < everyMs)) await (checking ??= look());
    return isSwitched;
  };
  const ask = async <T>(call: (reader: VectorReader) => Promise<T>): Promise<T> => {
    const reader = await pick();
    try {
      return await call(reader);
    } catch (error) {
      if (reader === current || !(error instanceof VectorsUnavailableError) || !(await isLiveNow())) throw error;
      return call(current);
    }
  };
  return {
    exact: current.exact && previous.exact,
    model: async () => (await ask((reader) => reader.model())) ?? ((await isLiveNow()) ? current.model() : undefined),
    get: (sku) => ask((reader) => reader.get(sku)),
    nearest: (vector, query) => ask((reader) => reader.nearest(vector, query)),
    close: async () => {
      await current.close();
      await previous.close();
    },
  };
}
