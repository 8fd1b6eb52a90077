import type { Relevance, SearchReader } from '@millrace/search';
import { openIdentitySigner } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { VectorReader } from '@millrace/vectors';
import type { Registry } from 'prom-client';
import { openRemoteEmbedders } from '@millrace/vector-engines';
import { createAskRecommender } from './ask-recommender.ts';
import type { Config } from './config.ts';
import type { CatalogDb } from './database.ts';
import { createQueryEmbedder } from './embed-query.ts';
import { createPersonalSearch } from './personal-search.ts';
import type { PersonalSearch } from './personal-search.ts';
import { findProducts } from './product.repository.ts';
import { createShopSearch } from './shop-search.ts';
import type { ShopSearch } from './shop-search.ts';

export interface OpenSearchesDeps {
  readonly config: Config;
  readonly search: SearchReader;
  readonly vectors: VectorReader;
  readonly relevance: Pick<Relevance, 'forQuery'>;
  readonly readDb: CatalogDb;
  readonly logger: Logger;
  readonly metrics: Registry;
}

export interface OpenSearches { readonly search: ShopSearch; readonly personal: PersonalSearch; close(): Promise<void> }

/** The searches of the shop: everybody's, and that for one user, which asks the recommender. */
export async function openSearches({ config, search, vectors, relevance, readDb, logger, metrics }: OpenSearchesDeps): Promise<OpenSearches> {
  const embedders = openRemoteEmbedders({ config, redisUrl: config.REDIS_URL, service: 'catalog-api', timeoutMs: config.QUERY_EMBEDDING_TIMEOUT_MS, attempts: 1, batchSize: 1, budgetWaitMs: 0, logger, metrics });
  const embedQuery = createQueryEmbedder({ vectors, openRemote: embedders.open, cacheSize: config.QUERY_VECTOR_CACHE, remoteNoise: config.HYBRID_MIN_SIMILARITY, metrics });
  const shopSearch = createShopSearch({ search, vectors, embedQuery, relevance, findProducts: (skus) => findProducts(readDb, skus), logger });
  const rerank = createAskRecommender({ baseUrl: config.RECOMMENDER_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), metrics });
  return { search: shopSearch, personal: createPersonalSearch({ search: shopSearch, relevance, rerank }), close: () => embedders.close() };
}
