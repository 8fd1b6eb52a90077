import { CollectionDroppedError, createGuardedWriter } from '@millrace/vectors';
import type { RowStore, StoredRow, VectorWriter, WriterLock } from '@millrace/vectors';
import type { Index, PineconeRecord } from '@pinecone-database/pinecone';
import { asking } from './client.ts';
import { fetchAll, type Control } from './control.ts';
import { isFound, keyOf, spacesOf, toRecord, toStoredRow } from './records.ts';
import { untilSeen } from './until-seen.ts';

/** One request is 2 MB at most, with what is around the records. */
const requestBytes = 1_900_000;
const mostRecords = 100;

/** As many records in each as a request may have: a number of a vector is anything up to 22 characters. */
function* requestsOf(records: readonly PineconeRecord[]): Iterable<PineconeRecord[]> {
  let request: PineconeRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const own = Buffer.byteLength(JSON.stringify(record)) + 1;
    if (request.length === mostRecords || (request.length > 0 && bytes + own > requestBytes)) {
      yield request;
      [request, bytes] = [[], 0];
    }
    request.push(record);
    bytes += own;
  }
  if (request.length > 0) yield request;
}

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
    for (const records of requestsOf(rows.map((row) => toRecord(row, dimensions)))) await asking(() => leased.upsert({ namespace: into, records }));
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
