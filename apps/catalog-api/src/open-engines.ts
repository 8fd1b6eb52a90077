import { join } from 'node:path';
import { openElasticsearchSearchReader, openEmbeddedSearchReader } from '@millrace/search';
import type { SearchReader } from '@millrace/search';
import { searchEngineOf } from '@millrace/service';
import type { Config } from './config.ts';

/** The reader of the search index that the configuration names. Opens even where there is no index yet: then every search rejects. */
export async function openSearch(config: Config): Promise<SearchReader> {
  if (searchEngineOf(config) === 'embedded') return openEmbeddedSearchReader({ directory: join(config.EMBEDDED_DATA_DIR, 'search'), timeoutMs: config.SEARCH_TIMEOUT_MS });
  return openElasticsearchSearchReader({
    node: config.ELASTICSEARCH_URL ?? '', alias: config.ELASTICSEARCH_INDEX, timeoutMs: config.SEARCH_TIMEOUT_MS,
    ...(config.ELASTICSEARCH_API_KEY !== undefined && { apiKey: config.ELASTICSEARCH_API_KEY }),
    ...(config.ELASTICSEARCH_CA_FILE !== undefined && { caFile: config.ELASTICSEARCH_CA_FILE }),
  });
}
