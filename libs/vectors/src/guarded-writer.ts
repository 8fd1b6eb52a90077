import { checkRecords } from './check-vector.ts';
import { VectorsUnavailableError } from './errors.ts';
import type { VectorRecord, VectorTombstone, VectorWriter } from './ports.ts';
import type { WriterLock } from './writer-lock.ts';

/** What such an engine keeps of a sku. A tombstone keeps its last category, for the purge of that category's answers. */
export type StoredRow =
  | (VectorRecord & { readonly deleted: false })
  | (VectorTombstone & { readonly deleted: true; readonly category: string | null; readonly deletedAtMs: number });

export interface ReadRowsOptions {
  readonly withVectors: boolean;
  /** As of `write`; absent where nothing is written afterwards. */
  readonly signal?: AbortSignal;
}

/** A collection of an engine that replaces whole rows and compares nothing. */
export interface RowStore {
  /** As of every `write` that has resolved. Unknown skus are not in it. @throws CollectionDroppedError */
  read(skus: readonly string[], options: ReadRowsOptions): Promise<ReadonlyMap<string, StoredRow>>;
  /**
   * Each sku once. May be stored in part when it rejects. Visible when it resolves. Once `signal` has aborted another writer may be at work:
   * it begins no further request, and cancels the one that it waits for where the engine's client can.
   */
  write(rows: readonly StoredRow[], options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface GuardedWriterOptions {
  readonly collection: string;
  readonly dimensions: number;
  readonly lock: WriterLock;
  readonly rows: RowStore;
}

/** The highest version of each sku; the first of equals, as where each record is guarded by itself. */
function newestOf<T extends VectorTombstone>(changes: readonly T[]): T[] {
  const newest = new Map<string, T>();
  for (const change of changes) if ((newest.get(change.sku)?.version ?? 0) < change.version) newest.set(change.sku, change);
  return [...newest.values()];
}

/** Resolves as `work` does, unless the lease is lost before: then it rejects at once, whatever `work` still waits for. */
async function underLease(collection: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  const onAbort = (): void => lose(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([lost, work()]);
    signal.throwIfAborted();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new VectorsUnavailableError(`the lease of ${collection}'s writer was lost: its batch may be stored in part, send it again`, { cause: signal.reason });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * A writer for engines without conditional writes: under the collection's lock it reads what is stored, compares versions, and writes what is
 * newer. Two writers at the same time end with the newest of both as long as the lock holds; see `WriterLock` for where it may not. Where the
 * lock is lost in the middle it stops and rejects with VectorsUnavailableError: the same batch, sent again, is compared anew.
 */
export function createGuardedWriter({ collection, dimensions, lock, rows }: GuardedWriterOptions): VectorWriter {
  const change = async <T extends VectorTombstone>(changes: readonly T[], options: { readonly withVectors: boolean }, toRow: (change: T, stored: StoredRow | undefined) => StoredRow | undefined): Promise<void> => {
    if (changes.length === 0) return;
    const wanted = newestOf(changes);
    await lock.hold(collection, ({ signal }) =>
      underLease(collection, signal, async () => {
        const stored = await rows.read(wanted.map(({ sku }) => sku), { ...options, signal });
        const newer = wanted.filter(({ sku, version }) => (stored.get(sku)?.version ?? 0) < version);
        const written = newer.flatMap((one) => toRow(one, stored.get(one.sku)) ?? []);
        // What was read may be old by now.
        signal.throwIfAborted();
        if (written.length > 0) await rows.write(written, { signal });
      }),
    );
  };
  return {
    async upsert(records) {
      checkRecords(records, dimensions);
      await change(records, { withVectors: false }, (record) => ({ ...record, deleted: false }));
    },
    remove: (tombstones) => {
      const deletedAtMs = Date.now();
      return change(tombstones, { withVectors: false }, ({ sku, version }, stored) => ({ sku, version, deleted: true, deletedAtMs, category: categoryOf(stored) }));
    },
    updatePayload: (changes) =>
      change(changes, { withVectors: true }, ({ version, textHash, payload }, stored) => (stored === undefined || stored.deleted || stored.textHash !== textHash ? undefined : { ...stored, version, payload })),
    async describe(skus) {
      if (skus.length === 0) return new Map();
      const stored = await rows.read(skus, { withVectors: false });
      return new Map([...stored].map(([sku, row]) => [sku, { version: row.version, category: categoryOf(row), deleted: row.deleted, ...(row.deleted ? {} : { textHash: row.textHash, embeddedAt: row.embeddedAt }) }]));
    },
    close: async () => undefined,
  };
}

const categoryOf = (row: StoredRow | undefined): string | null => (row === undefined ? null : row.deleted ? row.category : row.payload.category);
