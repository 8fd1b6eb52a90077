import type { Redis } from '@millrace/redis-kit';
import { checkRecords } from '../check-vector.ts';
import { CollectionDroppedError } from '../errors.ts';
import type { VectorModel, VectorWriter } from '../ports.ts';
import { asking } from './client.ts';
import { productFields, toPayloadChange, toRecordChange, type HashChange } from './hashes.ts';
import type { Names } from './names.ts';
import type { Replay } from './replay.ts';
import { writeRecord } from './scripts.ts';
import { readHashes } from './versions.ts';

export interface WriterDeps {
  readonly redis: Redis;
  readonly names: Names;
  readonly replay: Replay;
  readonly collection: string;
  readonly model: VectorModel;
  /** Keep the plain keys equal while this collection is live. */
  readonly aliasKeys: boolean;
}

/** One change of one record; may be sent again at any time. */
interface Operation extends HashChange { readonly mode: 'put' | 'payload' | 'remove'; readonly sku: string; readonly version: number; /** What the stored vector must be of. */ readonly textHash?: string }

/** Each record is one script with its own guard, done in the order of the batch. A failure may leave a batch stored in part: send it again. */
export function createRedisWriter({ redis, names, replay, collection, model, aliasKeys }: WriterDeps): VectorWriter {
  const [skus, tombstones] = [names.skus(collection), names.tombstones(collection)];

  const send = async ({ mode, sku, version, textHash = '', set, clear }: Operation, now: Date): Promise<unknown> => {
    const keys = [names.record(collection, sku), collection, skus, tombstones, names.live, names.plain(sku)];
    const args = [mode, sku, version, collection, aliasKeys ? 1 : 0, now.getTime(), textHash, clear.length, ...clear, 'updated_at', now.toISOString(), ...set];
    return writeRecord(redis, keys, args);
  };
  const sendAll = async (operations: readonly Operation[]): Promise<readonly unknown[]> => {
    const now = new Date();
    // All have ended before a failure is told: nothing of this call can come after the caller's next one.
    const results = await Promise.allSettled(operations.map((operation) => send(operation, now)));
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  };
  const run = (operations: readonly Operation[]): Promise<void> =>
    asking(async () => {
      if (operations.length === 0) return;
      await replay.settled();
      const written = await sendAll(operations);
      if (written.includes(-1)) throw new CollectionDroppedError('the vector collection was dropped');
      replay.remember(() => sendAll(operations));
    });

  return {
    async upsert(records) {
      checkRecords(records, model.dimensions);
      await run(records.map((record) => ({ mode: 'put', sku: record.sku, version: record.version, ...toRecordChange(record, model.id) })));
    },
    async remove(all) {
      const deletedAt = Date.now();
      await run(all.map(({ sku, version }) => ({ mode: 'remove', sku, version, set: ['sku', sku, 'model', model.id, 'deleted', 1, 'deleted_at', deletedAt], clear: productFields })));
    },
    async updatePayload(changes) {
      await run(changes.map(({ sku, version, textHash, payload }) => ({ mode: 'payload', sku, version, textHash, ...toPayloadChange(payload) })));
    },
    async describe(wanted) {
      const hashes = await readHashes(redis, wanted.map((sku) => names.record(collection, sku)), ['version', 'deleted', 'category', 'text_hash', 'embedded_at']);
      return new Map(wanted.flatMap((sku, at) => {
        const [version, deleted, category = null, textHash, embeddedAt] = hashes[at] ?? [];
        if (version === undefined) return [];
        const stored = { ...(textHash !== undefined && { textHash }), ...(embeddedAt !== undefined && { embeddedAt }) };
        return [[sku, { version: Number(version), category, deleted: deleted !== undefined, ...stored }] as const];
      }));
    },
    close: async () => undefined,
  };
}
