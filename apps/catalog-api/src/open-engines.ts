import { join } from 'node:path';
import { openElasticsearchSearchReader, openEmbeddedSearchReader } from '@millrace/search';
import type { SearchReader } from '@millrace/search';
import { searchEngineOf, vectorRedisUrlOf, vectorStoreOf } from '@millrace/service';
import { openEmbeddedVectorReader, openQdrantVectorReader, openRedisVectorReader } from '@millrace/vectors';
import type { VectorReader } from '@millrace/vectors';
import type { Config } from './config.ts';

/** The reader of the search index that the configuration names. Opens even where there is no index yet: then every search rejects. */
export async function openSearch(config: Config): Promise<SearchReader> {
  if (searchEngineOf(config) === 'embedded') return openEmbeddedSearchReader({ directory: join(config.EMBEDDED_DATA_DIR, 'search') });
  return openElasticsearchSearchReader({
    node: config.ELASTICSEARCH_URL ?? '', alias: config.ELASTICSEARCH_INDEX,
    ...(config.ELASTICSEARCH_API_KEY !== undefined && { apiKey: config.ELASTICSEARCH_API_KEY }),
    ...(config.ELASTICSEARCH_CA_FILE !== undefined && { caFile: config.ELASTICSEARCH_CA_FILE }),
  });
}

/** The reader of the vector store that the configuration names. Opens even where there is no collection yet: then every call rejects. */
export async function openVectors(config: Config): Promise<VectorReader> {
  const store = vectorStoreOf(config);
  if (store === 'embedded') return openEmbeddedVectorReader({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });
  if (store === 'qdrant') return openQdrantVectorReader({ url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION, ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }) });
  return openRedisVectorReader({ url: vectorRedisUrlOf(config), alias: config.VECTOR_INDEX_NAME, hnsw: { efRuntime: config.HNSW_EF_RUNTIME } });
}
