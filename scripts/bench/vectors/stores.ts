import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader, openQdrantVectorAdmin, openQdrantVectorReader, openRedisVectorAdmin, openRedisVectorReader } from '@millrace/vectors';
import type { VectorAdmin, VectorReader } from '@millrace/vectors';
import type { Catalogue } from './catalogue.ts';

/** A store that holds a whole catalogue, as a service uses it. */
export interface FilledStore {
  readonly name: string;
  readonly reader: VectorReader;
  readonly upsertsPerSecond: number;
  /** Of a price, say: the vector stays. */
  readonly payloadChangesPerSecond: number;
  /** From opening a reader to its first answer. */
  readonly openMs: number;
  close(): Promise<void>;
}

interface OpenStore { readonly admin: VectorAdmin; readonly openReader: () => Promise<VectorReader>; readonly remove: () => void }
interface Kind { readonly name: string; readonly open: () => Promise<OpenStore> }

const uniqueName = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`;

const embedded: Kind = {
  name: 'embedded',
  async open() {
    const directory = mkdtempSync(join(tmpdir(), 'bench-vectors-'));
    return { admin: await openEmbeddedVectorAdmin({ directory }), openReader: () => openEmbeddedVectorReader({ directory, queryTimeoutMs: 30_000 }), remove: () => rmSync(directory, { recursive: true, force: true }) };
  },
};

const redis = (url: string): Kind => ({
  name: 'redis',
  async open() {
    const options = { url, alias: uniqueName('bench'), keyPrefix: uniqueName('bench-embedding') };
    return { admin: await openRedisVectorAdmin(options), openReader: () => openRedisVectorReader(options), remove: () => undefined };
  },
});

const qdrant = (url: string): Kind => ({
  name: 'qdrant',
  async open() {
    const options = { url, alias: uniqueName('bench') };
    return { admin: await openQdrantVectorAdmin(options), openReader: () => openQdrantVectorReader(options), remove: () => undefined };
  },
});

/** The embedded store, and those whose server is given. */
export function storeKinds(): readonly Kind[] {
  const [redisUrl, qdrantUrl] = [process.env['TEST_REDIS_STACK_URL'], process.env['TEST_QDRANT_URL']];
  if (!redisUrl) console.error('redis: skipped, TEST_REDIS_STACK_URL is not set');
  if (!qdrantUrl) console.error('qdrant: skipped, TEST_QDRANT_URL is not set');
  return [embedded, ...(redisUrl ? [redis(redisUrl)] : []), ...(qdrantUrl ? [qdrant(qdrantUrl)] : [])];
}

async function rateOf<T>(items: readonly T[], write: (batch: readonly T[]) => Promise<void>): Promise<number> {
  const started = performance.now();
  for (let start = 0; start < items.length; start += 64) await write(items.slice(start, start + 64));
  return items.length / ((performance.now() - started) / 1_000);
}

export async function fillStore(kind: Kind, { model, records }: Catalogue): Promise<FilledStore> {
  const { admin, openReader, remove } = await kind.open();
  const collection = await admin.createCollection(model);
  const writer = await admin.openWriter(collection);
  const upsertsPerSecond = await rateOf(records, (batch) => writer.upsert(batch));
  const payloadChangesPerSecond = await rateOf(records.slice(0, 2_000), (batch) => writer.updatePayload(batch.map(({ sku, payload }) => ({ sku, version: 2, payload: { ...payload, price_minor: 200 } }))));
  await admin.swapTo(collection);
  const opened = performance.now();
  const reader = await openReader();
  await reader.nearest(records[0]?.vector ?? new Float32Array(model.dimensions), { limit: 1, excludeSkus: [] });
  const openMs = performance.now() - opened;
  return {
    name: kind.name, reader, upsertsPerSecond, payloadChangesPerSecond, openMs,
    async close() {
      await reader.close();
      // A live collection is never dropped: an empty one takes its place.
      await admin.swapTo(await admin.createCollection({ ...model, id: `empty-${model.id}` }));
      await admin.dropOthers([]);
      await writer.close();
      await admin.close();
      remove();
    },
  };
}
