import { join } from 'node:path';
import { vectorRedisUrlOf, vectorStoreOf } from '@millrace/service';
import type { embeddedVariables, Logger, redisVariables, VectorStoreName, vectorVariables } from '@millrace/service';
import {
  createSwitchingVectorAdmin, createSwitchingVectorReader, openEmbeddedVectorAdmin, openEmbeddedVectorReader, openQdrantVectorAdmin, openQdrantVectorReader, openRedisVectorAdmin, openRedisVectorReader,
} from '@millrace/vectors';
import type { QdrantOptions, RedisVectorOptions, VectorAdmin, VectorReader } from '@millrace/vectors';
import type { MilvusOptions } from '@millrace/vectors-milvus';
import type { PineconeOptions } from '@millrace/vectors-pinecone';
import type { z } from 'zod';

/** What a service's configuration has of vectors. */
export type VectorConfig = z.output<z.ZodObject<typeof vectorVariables>> & Pick<z.output<z.ZodObject<typeof embeddedVariables>>, 'EMBEDDED_DATA_DIR'> & Pick<z.output<z.ZodObject<typeof redisVariables>>, 'REDIS_URL'>;

const embedded = (config: VectorConfig) => ({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });

const qdrant = (config: VectorConfig): QdrantOptions => ({
  url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION,
  ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }),
  ...(config.QDRANT_SHARDS !== undefined && { shards: config.QDRANT_SHARDS }),
  ...(config.QDRANT_REPLICATION_FACTOR !== undefined && { replicationFactor: config.QDRANT_REPLICATION_FACTOR }),
  ...(config.QDRANT_WRITE_CONSISTENCY_FACTOR !== undefined && { writeConsistencyFactor: config.QDRANT_WRITE_CONSISTENCY_FACTOR }),
});

const redis = (config: VectorConfig): RedisVectorOptions => ({
  url: vectorRedisUrlOf(config), alias: config.VECTOR_INDEX_NAME, aliasKeys: config.VECTOR_ALIAS_KEYS,
  hnsw: { m: config.HNSW_M, efConstruction: config.HNSW_EF_CONSTRUCTION, efRuntime: config.HNSW_EF_RUNTIME },
});

const milvus = (config: VectorConfig): MilvusOptions => ({
  address: config.MILVUS_ADDRESS ?? '', alias: config.MILVUS_COLLECTION, lockUrl: config.REDIS_URL, efRuntime: config.HNSW_EF_RUNTIME, consistency: config.MILVUS_CONSISTENCY,
  index: { m: config.HNSW_M, efConstruction: config.HNSW_EF_CONSTRUCTION, shards: config.MILVUS_SHARDS, replicas: config.MILVUS_REPLICAS },
  ...(config.MILVUS_TOKEN !== undefined && { token: config.MILVUS_TOKEN }),
});

const pinecone = (config: VectorConfig): PineconeOptions => ({
  apiKey: config.PINECONE_API_KEY ?? '', namespace: config.PINECONE_NAMESPACE, lockUrl: config.REDIS_URL,
  ...(config.PINECONE_INDEX !== undefined && { index: config.PINECONE_INDEX }), ...(config.PINECONE_HOST !== undefined && { host: config.PINECONE_HOST }),
});

interface Engine {
  readonly admin: (config: VectorConfig) => Promise<VectorAdmin>;
  readonly reader: (config: VectorConfig) => Promise<VectorReader>;
}

/** Each further engine's package is loaded here and nowhere else, and only where it is configured. */
const engines: Readonly<Record<VectorStoreName, Engine>> = {
  embedded: { admin: (config) => openEmbeddedVectorAdmin(embedded(config)), reader: (config) => openEmbeddedVectorReader({ ...embedded(config), queryTimeoutMs: config.VECTOR_TIMEOUT_MS }) },
  qdrant: { admin: (config) => openQdrantVectorAdmin(qdrant(config)), reader: (config) => openQdrantVectorReader({ ...qdrant(config), timeoutMs: config.VECTOR_TIMEOUT_MS }) },
  redis: { admin: (config) => openRedisVectorAdmin(redis(config)), reader: (config) => openRedisVectorReader(redis(config)) },
  milvus: {
    admin: async (config) => (await import('@millrace/vectors-milvus')).openMilvusVectorAdmin(milvus(config)),
    reader: async (config) => (await import('@millrace/vectors-milvus')).openMilvusVectorReader({ ...milvus(config), timeoutMs: config.VECTOR_TIMEOUT_MS }),
  },
  pinecone: {
    admin: async (config) => (await import('@millrace/vectors-pinecone')).openPineconeVectorAdmin(pinecone(config)),
    reader: async (config) => (await import('@millrace/vectors-pinecone')).openPineconeVectorReader({ ...pinecone(config), timeoutMs: config.VECTOR_TIMEOUT_MS }),
  },
};

/** The store that the configuration names, together with the one before where it names one. */
export async function openVectorAdmin(config: VectorConfig, logger: Pick<Logger, 'warn'>): Promise<VectorAdmin> {
  const current = await engines[vectorStoreOf(config)].admin(config);
  const previousName = config.VECTOR_STORE_PREVIOUS;
  if (previousName === undefined) return current;
  const tell = (live: string | undefined): void => {
    if (live !== undefined) logger.warn({ live, previous: previousName }, 'the new vector store is live: take VECTOR_STORE_PREVIOUS away');
  };
  void current.liveCollection().then(tell, () => undefined); // away: whoever needs it says so
  return createSwitchingVectorAdmin({ current, previous: await engines[previousName].admin(config), previousName });
}

/** Its reader. Opens even where there is no collection yet: then every call rejects. */
export async function openVectorReader(config: VectorConfig, logger: Pick<Logger, 'warn'>): Promise<VectorReader> {
  const store = vectorStoreOf(config);
  const current = await engines[store].reader(config);
  const previous = config.VECTOR_STORE_PREVIOUS;
  if (previous === undefined) return current;
  return createSwitchingVectorReader({ current, previous: await engines[previous].reader(config), onTrouble: (err) => logger.warn({ err, store, previous }, 'the new vector store does not answer, the one before does instead') });
}
