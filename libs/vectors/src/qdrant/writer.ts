import type { QdrantClient, Schemas } from '@qdrant/js-client-rest';
import { checkRecords } from '../check-vector.ts';
import type { VectorWriter } from '../ports.ts';
import { writing } from './client.ts';
import { describedPointSchema, pointId, toProductPoint, vectorName } from './points.ts';

type Operation = Schemas['UpdateOperation'];

/** Operations of one request; a vector is some 5 KB of JSON. */
const operationsPerRequest = 256;

/** The guard: Qdrant compares and writes in one step, so writers need no lock. New points pass. */
const olderThan = (version: number): Schemas['Filter'] => ({ must: [{ key: 'version', range: { lt: version } }] });

/** The same for operations that select their point by a filter. */
const olderPoint = (sku: string, version: number) => ({ must: [{ has_id: [pointId(sku)] }, { key: 'version', range: { lt: version } }] });

/**
 * Each record is an operation with its own guard; those of one request are done in order. A failure may leave a batch stored in part:
 * send it again. Tombstones are points without a vector that keep their version.
 */
export function createQdrantWriter(client: QdrantClient, { collection, dimensions }: { collection: string; dimensions: number }): VectorWriter {
  const run = async (operations: readonly Operation[]): Promise<void> => {
    for (let start = 0; start < operations.length; start += operationsPerRequest) {
      await writing(() => client.batchUpdate(collection, { wait: true, ordering: 'strong', operations: operations.slice(start, start + operationsPerRequest) }));
    }
  };

  return {
    async upsert(records) {
      checkRecords(records, dimensions);
      await run(records.map((record) => {
        const vector: Record<string, number[]> = record.vector === undefined ? {} : { [vectorName]: [...record.vector] };
        return { upsert: { points: [{ id: pointId(record.sku), vector, payload: { ...toProductPoint(record) } }], update_filter: olderThan(record.version) } };
      }));
    },
    async remove(tombstones) {
      const deletedAt = Date.now();
      await run(tombstones.flatMap(({ sku, version }) => {
        const tombstone = { version, deleted: true, deleted_at: deletedAt };
        return [
          // A delete that comes before its product. What is there already keeps its category, for the purge of that category's answers.
          { upsert: { points: [{ id: pointId(sku), vector: {}, payload: { sku, ...tombstone } }], update_mode: 'insert_only' as const } },
          { delete_vectors: { vector: [vectorName], filter: olderPoint(sku, version) } },
          { set_payload: { payload: tombstone, filter: olderPoint(sku, version) } },
        ];
      }));
    },
    async updatePayload(changes) {
      await run(changes.map(({ sku, version, textHash, payload }) => {
        const { must } = olderPoint(sku, version);
        const filter = { must: [...must, { key: 'text_hash', match: { value: textHash } }], must_not: [{ key: 'deleted', match: { value: true } }] };
        return { set_payload: { payload: { ...payload, version }, filter } };
      }));
    },
    async describe(skus) {
      if (skus.length === 0) return new Map();
      const fields = Object.keys(describedPointSchema.shape);
      const points = await writing(() => client.retrieve(collection, { ids: skus.map(pointId), with_payload: fields, with_vector: false }));
      return new Map(points.map(({ payload }) => {
        const { sku, version, deleted, text_hash, embedded_at, category = null } = describedPointSchema.parse(payload);
        const stored = deleted || text_hash === undefined ? {} : { textHash: text_hash, ...(embedded_at === undefined ? {} : { embeddedAt: embedded_at }) };
        return [sku, { version, category, deleted, ...stored }];
      }));
    },
    close: async () => undefined,
  };
}
