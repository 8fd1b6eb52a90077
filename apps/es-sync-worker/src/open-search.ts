import { join } from 'node:path';
import { openElasticsearchSearchAdmin, openEmbeddedSearchAdmin } from '@millrace/search';
import type { SearchAdmin } from '@millrace/search';
import { searchEngineOf } from '@millrace/service';
import type { Config } from './config.ts';

/** The search engine that the configuration names. */
export async function openSearch(config: Config): Promise<SearchAdmin> {
  if (searchEngineOf(config) === 'embedded') return openEmbeddedSearchAdmin({ directory: join(config.EMBEDDED_DATA_DIR, 'search') });
  return openElasticsearchSearchAdmin({
    node: config.ELASTICSEARCH_URL ?? '', alias: config.ELASTICSEARCH_INDEX, refreshIntervalMs: config.ELASTICSEARCH_REFRESH_INTERVAL_MS,
    ...(config.ELASTICSEARCH_API_KEY !== undefined && { apiKey: config.ELASTICSEARCH_API_KEY }),
    ...(config.ELASTICSEARCH_CA_FILE !== undefined && { caFile: config.ELASTICSEARCH_CA_FILE }),
  });
}
