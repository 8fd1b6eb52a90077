import { similarByBody, similarProducts, similarRecommendations, similarRecommendationsShort } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import type { Logger } from '@millrace/service';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { findSimilar } from './find-similar.ts';
import type { FindSimilarPorts } from './find-similar.ts';
import { findNewest, getProduct } from './product.repository.ts';

export interface SimilarRoutesDeps {
  readonly db: CatalogDb;
  readonly vectors: FindSimilarPorts['vectors'];
  /** min_score where the caller gives none. */
  readonly threshold: number;
  readonly logger: Logger;
}

interface Wanted { readonly limit: number; readonly min_score?: number | undefined; readonly category?: string | undefined }

/** One answer under four paths: similarity, and `degraded: true` with fallbacks from Postgres while the vector store is down. */
export function similarRoutes({ db, vectors, threshold, logger }: SimilarRoutesDeps): Router {
  const router = Router();
  const newest: FindSimilarPorts['findNewest'] = (filter, limit) => findNewest(db, filter, limit);
  const none: FindSimilarPorts['vectors'] = { get: async () => undefined, nearest: async () => [], model: async () => undefined };
  const similar = async (sku: string, wanted: Wanted): Promise<Reply> => {
    const product = await getProduct(db, sku);
    const request = { product, limit: wanted.limit, minScore: wanted.min_score ?? threshold, ...(wanted.category !== undefined && { category: wanted.category }) };
    try {
      return ok(await findSimilar({ vectors, findNewest: newest }, request));
    } catch (error) {
      logger.warn({ err: error }, 'vector store does not answer');
      return ok({ ...(await findSimilar({ vectors: none, findNewest: newest }, request)), degraded: true });
    }
  };
  route(router, similarProducts, ({ params, query }) => similar(params.sku, query));
  route(router, similarRecommendations, ({ params, query }) => similar(params.product_id, query));
  route(router, similarRecommendationsShort, ({ params, query }) => similar(params.product_id, query));
  route(router, similarByBody, ({ body: { product_id: sku, ...wanted } }) => similar(sku, wanted));
  return router;
}
