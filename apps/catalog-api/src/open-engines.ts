import { join } from 'node:path';
import { openElasticsearchSearchReader, openEmbeddedSearchReader } from '@millrace/search';
import type { SearchReader } from '@millrace/search';
import { searchEngineOf, vectorStoreOf } from '@millrace/service';
import { openEmbeddedVectorReader, openQdrantVectorReader } from '@millrace/vectors';
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

export async function openVectors(config: Config): Promise<VectorReader> {
  if (vectorStoreOf(config) === 'embedded') return openEmbeddedVectorReader({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });
  return openQdrantVectorReader({ url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION, ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }) });
}
