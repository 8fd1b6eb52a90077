import { join } from 'node:path';
import { vectorRedisUrlOf, vectorStoreOf } from '@millrace/service';
import { openEmbeddedVectorAdmin, openQdrantVectorAdmin, openRedisVectorAdmin } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import type { Config } from './config.ts';

/** The vector store that the configuration names. */
export async function openVectors(config: Config): Promise<VectorAdmin> {
  const store = vectorStoreOf(config);
  if (store === 'embedded') return openEmbeddedVectorAdmin({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });
  if (store === 'qdrant') return openQdrantVectorAdmin({ url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION, ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }) });
  return openRedisVectorAdmin({
    url: vectorRedisUrlOf(config), alias: config.VECTOR_INDEX_NAME, aliasKeys: config.VECTOR_ALIAS_KEYS,
    hnsw: { m: config.HNSW_M, efConstruction: config.HNSW_EF_CONSTRUCTION, efRuntime: config.HNSW_EF_RUNTIME },
  });
}
