import { CollectionDroppedError, createGuardedWriter } from '@millrace/vectors';
import type { RowStore, VectorWriter, WriterLock } from '@millrace/vectors';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { isMissing } from './client.ts';
import { readStored, upsertRows } from './queries.ts';
import { toRowData } from './rows.ts';

/** Rows of one request: a vector of 1,536 dimensions is 6 KB. */
const rowsPerRequest = 256;
/** Ids of one expression. */
const idsPerRead = 500;

export interface WriterDeps { readonly client: MilvusClient; readonly lock: WriterLock; readonly collection: string; readonly dimensions: number }

const dropped = (error: unknown): unknown => (isMissing(error) ? new CollectionDroppedError('the vector collection was dropped', { cause: error }) : error);

/** Writes under the collection's lease: Milvus replaces rows and compares nothing. A failure may leave a batch stored in part: send it again. */
export function createMilvusWriter({ client, lock, collection, dimensions }: WriterDeps): VectorWriter {
  const rows: RowStore = {
    async read(skus, { withVectors, signal }) {
      const found = new Map();
      try {
        for (let start = 0; start < skus.length; start += idsPerRead) {
          signal?.throwIfAborted();
          for (const [sku, row] of await readStored({ client, name: collection }, skus.slice(start, start + idsPerRead), { withVectors })) found.set(sku, row);
        }
      } catch (error) {
        throw dropped(error);
      }
      return found;
    },
    async write(changed, { signal }) {
      try {
        for (let start = 0; start < changed.length; start += rowsPerRequest) {
          // The SDK cannot cancel a request: one that is on its way ends by itself, within its deadline.
          signal.throwIfAborted();
          const data = changed.slice(start, start + rowsPerRequest).map((row) => toRowData(row, dimensions));
          await upsertRows({ client, name: collection }, data);
        }
      } catch (error) {
        throw dropped(error);
      }
    },
  };
  return createGuardedWriter({ collection, dimensions, lock, rows });
}
