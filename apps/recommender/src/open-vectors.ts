import { join } from 'node:path';
import { vectorRedisUrlOf, vectorStoreOf } from '@millrace/service';
import { openEmbeddedVectorReader, openQdrantVectorReader, openRedisVectorReader } from '@millrace/vectors';
import type { VectorReader } from '@millrace/vectors';
import type { Config } from './config.ts';

/** The reader of the vector store that the configuration names. Opens even where there is no collection yet: then every call rejects. */
export async function openVectors(config: Config): Promise<VectorReader> {
  const store = vectorStoreOf(config);
  if (store === 'embedded') return openEmbeddedVectorReader({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });
  if (store === 'qdrant') return openQdrantVectorReader({ url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION, ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }) });
  return openRedisVectorReader({ url: vectorRedisUrlOf(config), alias: config.VECTOR_INDEX_NAME, hnsw: { efRuntime: config.HNSW_EF_RUNTIME } });
}
