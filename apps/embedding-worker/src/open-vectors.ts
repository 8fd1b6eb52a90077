import { join } from 'node:path';
import { vectorStoreOf } from '@millrace/service';
import { openEmbeddedVectorAdmin, openQdrantVectorAdmin } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import type { Config } from './config.ts';

/** The vector store that the configuration names. */
export async function openVectors(config: Config): Promise<VectorAdmin> {
  if (vectorStoreOf(config) === 'embedded') return openEmbeddedVectorAdmin({ directory: join(config.EMBEDDED_DATA_DIR, 'vectors') });
  return openQdrantVectorAdmin({ url: config.QDRANT_URL ?? '', alias: config.QDRANT_COLLECTION, ...(config.QDRANT_API_KEY !== undefined && { apiKey: config.QDRANT_API_KEY }) });
}
