import { CollectionDroppedError, createGuardedWriter } from '@millrace/vectors';
import type { RowStore, StoredRow, VectorWriter, WriterLock } from '@millrace/vectors';
import type { Index } from '@pinecone-database/pinecone';
import { asking } from './client.ts';
import { fetchAll, type Control } from './control.ts';
import { isFound, keyOf, spacesOf, toRecord, toStoredRow } from './records.ts';
import { untilSeen } from './until-seen.ts';

/** One request is 2 MB at most; a number of a vector is some 13 characters. */
const requestBytes = 1_500_000;
const mostRecords = 100;
const recordsPerRequest = (dimensions: number): number => Math.max(1, Math.min(mostRecords, Math.floor(requestBytes / (dimensions * 13 + 4_000))));

export interface WriterDeps {
  /** For what is read without a lease. */
  readonly index: Index;
  /** The same index for the time of a lease: all its requests end with it. */
  readonly during: (lease: AbortSignal) => Index;
  readonly control: Pick<Control, 'head'>;
  readonly lock: WriterLock;
  readonly collection: string;
  readonly dimensions: number;
  readonly freshMs: number;
}

/** By sku: from both namespaces, the newer one where a crash left both. */
export async function readRows(index: Index, collection: string, skus: readonly string[]): Promise<Map<string, StoredRow>> {
  const { found, rest } = spacesOf(collection);
  const ids = skus.map(keyOf);
  const [withVector, without] = await Promise.all([fetchAll(index, found, ids), fetchAll(index, rest, ids)]);
  const rows = new Map<string, StoredRow>();
  for (const [records, hasVector] of [[withVector, true], [without, false]] as const) {
    for (const record of records.values()) {
      const row = toStoredRow(record, { hasVector });
      if ((rows.get(row.sku)?.version ?? 0) <= row.version) rows.set(row.sku, row);
    }
  }
  return rows;
}

/** Writes under the collection's lease and waits until what it wrote can be read. A failure may leave a batch stored in part: send it again. */
export function createPineconeWriter({ index, during, control, lock, collection, dimensions, freshMs }: WriterDeps): VectorWriter {
  const { found, rest } = spacesOf(collection);
  const checkIsThere = async (): Promise<void> => {
    if ((await control.head(collection)) === undefined) throw new CollectionDroppedError('the vector collection was dropped');
  };
  /** The new place first: a crash in between leaves a product twice, never nowhere. */
  const move = async (leased: Index, rows: readonly StoredRow[], { into, outOf }: { readonly into: string; readonly outOf: string }): Promise<void> => {
    if (rows.length === 0) return;
    const size = recordsPerRequest(dimensions);
    for (let start = 0; start < rows.length; start += size) {
      await asking(() => leased.upsert({ namespace: into, records: rows.slice(start, start + size).map((row) => toRecord(row, dimensions)) }));
    }
    const ids = rows.map(({ sku }) => keyOf(sku));
    const stale = [...(await fetchAll(leased, outOf, ids)).keys()];
    if (stale.length > 0) await asking(() => leased.deleteMany({ namespace: outOf, ids: stale }));
  };
  const rowStore: RowStore = {
    async read(skus, { signal }) {
      const [, rows] = await Promise.all([checkIsThere(), readRows(signal === undefined ? index : during(signal), collection, skus)]);
      return rows;
    },
    async write(rows, { signal }) {
      const leased = during(signal);
      await move(leased, rows.filter(isFound), { into: found, outOf: rest });
      await move(leased, rows.filter((row) => !isFound(row)), { into: rest, outOf: found });
      const skus = rows.map(({ sku }) => sku);
      await untilSeen(async () => {
        const seen = await readRows(leased, collection, skus);
        return rows.every(({ sku, version }) => seen.get(sku)?.version === version);
      }, { what: 'the batch', freshMs });
    },
  };
  return createGuardedWriter({ collection, dimensions, lock, rows: rowStore });
}
