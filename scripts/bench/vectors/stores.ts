import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader, openQdrantVectorAdmin, openQdrantVectorReader, openRedisVectorAdmin, openRedisVectorReader } from '@millrace/vectors';
import { embeddedFeatures, qdrantFeatures, redisFeatures } from '@millrace/vectors';
import type { VectorAdmin, VectorEngineFeatures, VectorReader } from '@millrace/vectors';
import { milvusFeatures, openMilvusVectorAdmin, openMilvusVectorReader } from '@millrace/vectors-milvus';
import { rawMilvus, rawQdrant, rawRedis } from './raw.ts';
import type { RawSearch } from './raw.ts';
import type { Catalogue } from './catalogue.ts';

/** A store that holds a whole catalogue, as a service uses it. */
export interface FilledStore {
  readonly name: string;
  readonly features: VectorEngineFeatures;
  readonly reader: VectorReader;
  /** The same search by the engine's own client, with nothing of ours around it. */
  readonly raw: RawSearch | undefined;
  readonly upsertsPerSecond: number;
  /** Of a price, say: the vector stays. */
  readonly payloadChangesPerSecond: number;
  /** From opening a reader to its first answer. */
  readonly openMs: number;
  close(): Promise<void>;
}

interface OpenStore { readonly admin: VectorAdmin; readonly openReader: () => Promise<VectorReader>; readonly openRaw?: (collection: string) => RawSearch; readonly remove: () => void }
interface Kind { readonly name: string; readonly features: VectorEngineFeatures; readonly open: () => Promise<OpenStore> }

const uniqueName = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`;

const embedded: Kind = {
  name: 'embedded',
  features: embeddedFeatures,
  async open() {
    const directory = mkdtempSync(join(tmpdir(), 'bench-vectors-'));
    return { admin: await openEmbeddedVectorAdmin({ directory }), openReader: () => openEmbeddedVectorReader({ directory, queryTimeoutMs: 30_000 }), remove: () => rmSync(directory, { recursive: true, force: true }) };
  },
};

const redis = (url: string): Kind => ({
  name: 'redis',
  features: redisFeatures,
  async open() {
    const options = { url, alias: uniqueName('bench'), keyPrefix: uniqueName('bench-embedding') };
    return { admin: await openRedisVectorAdmin(options), openReader: () => openRedisVectorReader(options), openRaw: (collection) => rawRedis(url, collection), remove: () => undefined };
  },
});

const qdrant = (url: string): Kind => ({
  name: 'qdrant',
  features: qdrantFeatures,
  async open() {
    const options = { url, alias: uniqueName('bench') };
    return { admin: await openQdrantVectorAdmin(options), openReader: () => openQdrantVectorReader(options), openRaw: (collection) => rawQdrant(url, collection), remove: () => undefined };
  },
});

/** Needs a Redis too, for the lease of its writer. */
const milvus = (address: string, lockUrl: string): Kind => ({
  name: 'milvus',
  features: milvusFeatures,
  async open() {
    const options = { address, alias: uniqueName('bench').replaceAll(/\W/g, '_'), lockUrl, timeoutMs: 60_000 };
    return { admin: await openMilvusVectorAdmin(options), openReader: () => openMilvusVectorReader(options), openRaw: (collection) => rawMilvus(address, collection), remove: () => undefined };
  },
});

/** The embedded store, and those whose server is given. */
export function storeKinds(): readonly Kind[] {
  const [redisUrl, qdrantUrl, milvusAddress] = [process.env['TEST_REDIS_STACK_URL'], process.env['TEST_QDRANT_URL'], process.env['TEST_MILVUS_ADDRESS']];
  const lockUrl = process.env['TEST_REDIS_URL'] ?? redisUrl;
  if (!redisUrl) console.error('redis: skipped, TEST_REDIS_STACK_URL is not set');
  if (!qdrantUrl) console.error('qdrant: skipped, TEST_QDRANT_URL is not set');
  if (!milvusAddress || !lockUrl) console.error('milvus: skipped, TEST_MILVUS_ADDRESS or a Redis (TEST_REDIS_URL, TEST_REDIS_STACK_URL) is not set');
  console.error('pinecone: skipped, it is a service: its adapter has met a stub only');
  return [embedded, ...(redisUrl ? [redis(redisUrl)] : []), ...(qdrantUrl ? [qdrant(qdrantUrl)] : []), ...(milvusAddress && lockUrl ? [milvus(milvusAddress, lockUrl)] : [])];
}

async function rateOf<T>(items: readonly T[], write: (batch: readonly T[]) => Promise<void>): Promise<number> {
  const started = performance.now();
  for (let start = 0; start < items.length; start += 64) await write(items.slice(start, start + 64));
  return items.length / ((performance.now() - started) / 1_000);
}

export async function fillStore(kind: Kind, { model, records }: Catalogue): Promise<FilledStore> {
  const { admin, openReader, openRaw, remove } = await kind.open();
  const collection = await admin.createCollection(model);
  const writer = await admin.openWriter(collection);
  const upsertsPerSecond = await rateOf(records, (batch) => writer.upsert(batch));
  const payloadChangesPerSecond = await rateOf(records.slice(0, 2_000), (batch) => writer.updatePayload(batch.map(({ sku, payload }) => ({ sku, version: 2, payload: { ...payload, price_minor: 200 } }))));
  await admin.swapTo(collection);
  const opened = performance.now();
  const reader = await openReader();
  await reader.nearest(records[0]?.vector ?? new Float32Array(model.dimensions), { limit: 1, excludeSkus: [] });
  const openMs = performance.now() - opened;
  const raw = openRaw?.(collection);
  return {
    name: kind.name, features: kind.features, raw, reader, upsertsPerSecond, payloadChangesPerSecond, openMs,
    async close() {
      await reader.close();
      await raw?.close();
      // A live collection is never dropped: an empty one takes its place.
      await admin.swapTo(await admin.createCollection({ ...model, id: `empty-${model.id}` }));
      await admin.dropOthers([]);
      await writer.close();
      await admin.close();
      remove();
    },
  };
}
