import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader, openQdrantVectorAdmin, openQdrantVectorReader, openRedisVectorAdmin, openRedisVectorReader } from '@millrace/vectors';
import { embeddedFeatures, qdrantFeatures, redisFeatures } from '@millrace/vectors';
import type { VectorAdmin, VectorEngineFeatures, VectorReader } from '@millrace/vectors';
import { milvusFeatures, openMilvusVectorAdmin, openMilvusVectorReader } from '@millrace/vectors-milvus';
import { openPineconeVectorAdmin, openPineconeVectorReader, pineconeFeatures } from '@millrace/vectors-pinecone';
import { startPineconeStub } from '../../../libs/vectors-pinecone/src/testing.ts';
import { msOf } from '../support/measure.ts';
import { dimensions } from './catalogue.ts';
import type { Catalogue } from './catalogue.ts';
import { rawMilvus, rawPinecone, rawQdrant, rawRedis } from './raw.ts';
import type { RawClient } from './raw.ts';

/** Records of one write, as embedding-worker sends them. */
export const batchRecords = 64;
/** Of one write of a rebuild: how a store is filled before it is measured. */
const fillRecords = 500;

/** A store that holds a whole catalogue, as a service uses it. */
export interface FilledStore {
  readonly name: string;
  readonly features: VectorEngineFeatures;
  readonly reader: VectorReader;
  readonly raw: RawClient | undefined;
  /** Milliseconds of a batch of 64: new versions of other products each time. */
  readonly upsert: () => Promise<number>;
  /** Of a price, say: the vector stays. */
  readonly changePayloads: () => Promise<number>;
  /** The same number of rows by the engine's own client. */
  readonly rewrite: (() => Promise<number>) | undefined;
  /** From opening a reader to its first answer. */
  readonly openMs: number;
  close(): Promise<void>;
}

interface OpenStore { readonly admin: VectorAdmin; readonly openReader: () => Promise<VectorReader>; readonly openRaw?: (collection: string) => RawClient; readonly remove: () => unknown }
export interface Kind {
  readonly name: string;
  readonly features: VectorEngineFeatures;
  /** Why it is measured with few products only. */
  readonly fewOnly?: string;
  readonly open: () => Promise<OpenStore>;
}

const uniqueName = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`;

const embedded: Kind = {
  name: 'embedded', features: embeddedFeatures,
  async open() {
    const directory = mkdtempSync(join(tmpdir(), 'bench-vectors-'));
    return { admin: await openEmbeddedVectorAdmin({ directory }), openReader: () => openEmbeddedVectorReader({ directory, queryTimeoutMs: 30_000 }), remove: () => rmSync(directory, { recursive: true, force: true }) };
  },
};

const redis = (url: string): Kind => ({
  name: 'redis', features: redisFeatures,
  async open() {
    const options = { url, alias: uniqueName('bench'), keyPrefix: uniqueName('bench-embedding') };
    return { admin: await openRedisVectorAdmin(options), openReader: () => openRedisVectorReader(options), openRaw: (collection) => rawRedis(url, collection), remove: () => undefined };
  },
});

const qdrant = (url: string): Kind => ({
  name: 'qdrant', features: qdrantFeatures,
  async open() {
    const options = { url, alias: uniqueName('bench') };
    return { admin: await openQdrantVectorAdmin(options), openReader: () => openQdrantVectorReader(options), openRaw: (collection) => rawQdrant(url, collection), remove: () => undefined };
  },
});

/** Needs a Redis too, for the lease of its writer. */
const milvus = (address: string, lockUrl: string): Kind => ({
  name: 'milvus', features: milvusFeatures, fewOnly: 'Milvus Lite compares every row in Python',
  async open() {
    const options = { address, alias: uniqueName('bench').replaceAll(/\W/g, '_'), lockUrl, timeoutMs: 60_000 };
    return { admin: await openMilvusVectorAdmin(options), openReader: () => openMilvusVectorReader(options), openRaw: (collection) => rawMilvus(address, collection), remove: () => undefined };
  },
});

/** Its wire and our work around it, against a stub in this process: nothing here says how fast the service is. */
const pinecone = (lockUrl: string): Kind => ({
  name: 'pinecone (a stub)', features: pineconeFeatures, fewOnly: 'the stub compares every row in JavaScript',
  async open() {
    const apiKey = 'pc-bench';
    const stub = await startPineconeStub({ dimension: dimensions, apiKey });
    const options = { apiKey, host: stub.host, namespace: uniqueName('bench'), lockUrl, timeoutMs: 60_000 };
    return { admin: await openPineconeVectorAdmin(options), openReader: () => openPineconeVectorReader(options), openRaw: (collection) => rawPinecone({ apiKey, host: stub.host }, collection), remove: () => stub.stop() };
  },
});

/** The embedded store and the stub, and those whose server is given; `absent`: why the others are not measured. */
export function storeKinds(env: Readonly<Record<string, string | undefined>> = process.env): { readonly kinds: readonly Kind[]; readonly absent: Readonly<Record<string, string>> } {
  const [redisUrl, qdrantUrl, milvusAddress] = [env['TEST_REDIS_STACK_URL'], env['TEST_QDRANT_URL'], env['TEST_MILVUS_ADDRESS']];
  const lockUrl = env['TEST_REDIS_URL'] ?? redisUrl;
  const noLock = 'no Redis for its lease (TEST_REDIS_URL)';
  return {
    kinds: [embedded, ...(redisUrl ? [redis(redisUrl)] : []), ...(qdrantUrl ? [qdrant(qdrantUrl)] : []), ...(milvusAddress && lockUrl ? [milvus(milvusAddress, lockUrl)] : []), ...(lockUrl ? [pinecone(lockUrl)] : [])],
    absent: {
      ...(!redisUrl && { redis: 'TEST_REDIS_STACK_URL is not set' }), ...(!qdrantUrl && { qdrant: 'TEST_QDRANT_URL is not set' }),
      ...(!milvusAddress ? { milvus: 'TEST_MILVUS_ADDRESS is not set' } : !lockUrl && { milvus: noLock }), ...(!lockUrl && { pinecone: noLock }),
    },
  };
}

export async function fillStore(kind: Kind, { model, records }: Catalogue): Promise<FilledStore> {
  const { admin, openReader, openRaw, remove } = await kind.open();
  const collection = await admin.createCollection(model);
  const writer = await admin.openWriter(collection);
  for (let start = 0; start < records.length; start += fillRecords) await writer.upsert(records.slice(start, start + fillRecords));
  await admin.swapTo(collection);
  const opened = performance.now();
  const reader = await openReader();
  await reader.nearest(records[0]?.vector ?? new Float32Array(model.dimensions), { limit: 1, excludeSkus: [] });
  const openMs = performance.now() - opened;
  const raw = openRaw?.(collection);
  // Raw writes repeat what they read: of products that no other write touches.
  const rewrite = await raw?.rewriter(records.slice(-batchRecords).map(({ sku }) => sku));
  let version = 1;
  const nextBatch = () => {
    version += 1;
    const start = (version * batchRecords) % Math.max(1, records.length - 2 * batchRecords);
    return records.slice(start, start + batchRecords).map((record) => ({ ...record, version }));
  };
  return {
    name: kind.name, features: kind.features, raw, reader, openMs,
    upsert: () => msOf(() => writer.upsert(nextBatch())),
    changePayloads: () => msOf(() => writer.updatePayload(nextBatch().map(({ sku, version: next, textHash, payload }) => ({ sku, version: next, textHash, payload: { ...payload, price_minor: next } })))),
    rewrite: rewrite && (() => msOf(rewrite)),
    async close() {
      await reader.close();
      await raw?.close();
      // A live collection is never dropped: an empty one takes its place.
      await admin.swapTo(await admin.createCollection({ ...model, id: `empty-${model.id}` }));
      await admin.dropOthers([]);
      await writer.close();
      await admin.close();
      await remove();
    },
  };
}
