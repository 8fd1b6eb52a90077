import { similarByBody, similarProducts, similarRecommendations, similarRecommendationsShort, similarToSeveral, similarToSeveralByQuery } from '@millrace/contracts';
import type { Product, SimilarAnswerBody, SimilarToSeveralBody } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { findSimilar } from './find-similar.ts';
import type { FindSimilarPorts } from './find-similar.ts';
import { findNewest, findProducts, getProduct } from './product.repository.ts';

export interface SimilarRoutesDeps {
  readonly db: CatalogDb;
  readonly vectors: FindSimilarPorts['vectors'];
  /** min_score where the caller gives none. */
  readonly threshold: number;
  readonly logger: Logger;
}

interface Wanted { readonly limit: number; readonly min_score?: number | undefined; readonly category?: string | undefined }
interface Given { readonly skus: readonly string[]; readonly pointerOf: (index: number) => string; readonly in: 'body' | 'query' }

/** Similarity under its paths, and `degraded: true` with fallbacks from Postgres while the vector store is down. */
export function similarRoutes({ db, vectors, threshold, logger }: SimilarRoutesDeps): Router {
  const router = Router();
  const newest: FindSimilarPorts['findNewest'] = (filter, limit) => findNewest(db, filter, limit);
  const none: FindSimilarPorts['vectors'] = { get: async () => undefined, nearest: async () => [], model: async () => undefined };
  const similarTo = async (products: readonly Product[], wanted: Wanted): Promise<SimilarAnswerBody> => {
    const request = { products, limit: wanted.limit, minScore: wanted.min_score ?? threshold, ...(wanted.category !== undefined && { category: wanted.category }) };
    try {
      return await findSimilar({ vectors, findNewest: newest }, request);
    } catch (error) {
      logger.warn({ err: error }, 'vector store does not answer');
      return { ...(await findSimilar({ vectors: none, findNewest: newest }, request)), degraded: true };
    }
  };
  const similar = async (sku: string, wanted: Wanted): Promise<Reply> => ok(await similarTo([await getProduct(db, sku)], wanted));
  const several = async (given: Given, wanted: Wanted): Promise<Reply> => {
    const { products, unknown } = await findGiven(db, given);
    return ok({ ...(await similarTo(products, wanted)), unknown } satisfies SimilarToSeveralBody);
  };
  route(router, similarProducts, ({ params, query }) => similar(params.sku, query));
  route(router, similarRecommendations, ({ params, query }) => similar(params.product_id, query));
  route(router, similarRecommendationsShort, ({ params, query }) => similar(params.product_id, query));
  route(router, similarByBody, ({ body: { product_id: sku, ...wanted } }) => similar(sku, wanted));
  route(router, similarToSeveral, ({ body: { product_ids: skus, ...wanted } }) => several({ skus, in: 'body', pointerOf: (index) => `/product_ids/${index}` }, wanted));
  route(router, similarToSeveralByQuery, ({ query: { product_id: skus, ...wanted } }) => several({ skus, in: 'query', pointerOf: (index) => `/product_id/${index}` }, wanted));
  return router;
}

/** In their order, each once. Throws not_found where none exists. */
async function findGiven(db: CatalogDb, { skus, in: part, pointerOf }: Given): Promise<{ readonly products: readonly Product[]; readonly unknown: string[] }> {
  const wanted = [...new Set(skus)];
  const found = await findProducts(db, wanted);
  const products = wanted.flatMap((sku) => found.get(sku) ?? []);
  const unknown = wanted.filter((sku) => !found.has(sku));
  if (products.length === 0)
    throw new AppError('not_found', 'none of the products exists', { details: unknown.map((sku) => ({ in: part, pointer: pointerOf(skus.indexOf(sku)), detail: 'is not the sku of a product' })) });
  return { products, unknown };
}
