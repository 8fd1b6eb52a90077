import { fromMinor, searchProducts, suggestProducts, toMinor } from '@millrace/contracts';
import type { SearchAnswerBody } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { RouteInput } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { InvalidCursorError } from '@millrace/search';
import type { SearchAnswer, SearchHit, SearchQuery, SearchReader } from '@millrace/search';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { findProduct } from './product.repository.ts';
import { waitForVersion } from './wait-for-version.ts';

export interface SearchRoutesDeps {
  readonly search: Pick<SearchReader, 'search' | 'suggest' | 'versionOf'>;
  /** How far the index is behind, milliseconds; null: not known. */
  readonly lagMs: () => number | null;
  readonly db: CatalogDb;
  readonly defaultCurrency: string;
  readonly logger: Logger;
}

type HttpQuery = RouteInput<typeof searchProducts>['query'];

function bound(name: 'min_price' | 'max_price', amount: string | undefined, currency: string): number | undefined {
  if (amount === undefined) return undefined;
  const minor = toMinor(amount, currency);
  if (minor === undefined) throw new AppError('invalid_request', `${name} has more decimals than ${currency} allows`, { details: [{ in: 'query', pointer: `/${name}`, detail: 'has more decimals than its currency allows' }] });
  return minor;
}

function toSearchQuery(query: HttpQuery, defaultCurrency: string): SearchQuery {
  const currency = query.currency ?? defaultCurrency;
  const minPriceMinor = bound('min_price', query.min_price, currency);
  const maxPriceMinor = bound('max_price', query.max_price, currency);
  if (minPriceMinor !== undefined && maxPriceMinor !== undefined && minPriceMinor > maxPriceMinor)
    throw new AppError('invalid_request', 'min_price is above max_price', { details: [{ in: 'query', pointer: '/min_price', detail: 'must not be above max_price' }] });
  return {
    currency, sort: query.sort, limit: query.limit,
    ...(query.q !== undefined && { q: query.q }),
    ...(minPriceMinor !== undefined && { minPriceMinor }),
    ...(maxPriceMinor !== undefined && { maxPriceMinor }),
    ...(query.merchant_id !== undefined && { merchantId: query.merchant_id }),
    ...(query.category !== undefined && { category: query.category }),
    ...(query.brand !== undefined && { brand: query.brand }),
    ...(query.in_stock !== undefined && { inStock: query.in_stock }),
    ...(query.cursor !== undefined && { cursor: query.cursor }),
  };
}

type HitProduct = Pick<SearchHit, 'product' | 'score' | 'highlights'>;
const toHit = ({ product, score, highlights }: HitProduct): SearchAnswerBody['data'][number] => ({
  sku: product.sku, name: product.name, description: product.description, category: product.category, brand: product.brand, merchant_id: product.merchant_id,
  price: product.price, currency: product.currency, stock: product.stock, image_url: product.image_url, version: product.version, score, highlights: { ...highlights },
});

const toBody = (answer: SearchAnswer, currency: string): Pick<SearchAnswerBody, 'data' | 'total' | 'facets'> => ({
  data: answer.hits.map(toHit),
  total: answer.total,
  facets: {
    category: [...answer.facets.category],
    brand: [...answer.facets.brand],
    merchant: [...answer.facets.merchant],
    price: answer.facets.price.map(({ fromMinor: from, toMinor: to, count }) => ({ from: Number(fromMinor(from, currency)), to: to === undefined ? null : Number(fromMinor(to, currency)), count })),
  },
});

/** Search and suggest answer with a flag instead of failing while their index is down: an exact sku is still found, in Postgres. */
export function searchRoutes({ search, lagMs, db, defaultCurrency, logger }: SearchRoutesDeps): Router {
  const router = Router();
  const degraded = async (q: string | undefined): Promise<Pick<SearchAnswerBody, 'data' | 'total' | 'facets'>> => {
    const product = q === undefined || q.trim() === '' || q.length > 128 ? undefined : await findProduct(db, q.trim());
    const data = product?.status === 'active' ? [toHit({ product, score: 1, highlights: {} })] : [];
    return { data, total: data.length, facets: { category: [], brand: [], merchant: [], price: [] } };
  };
  route(router, searchProducts, async ({ query }) => {
    const startMs = performance.now();
    const wanted = toSearchQuery(query, defaultCurrency);
    const waited = query.wait_for === undefined ? null : await waitForVersion(search, query.wait_for);
    const finish = (body: Pick<SearchAnswerBody, 'data' | 'total' | 'facets'>, next: string | undefined, isDegraded: boolean) =>
      ok({ ...body, page: { next: next ?? null, limit: query.limit }, degraded: isDegraded, took_ms: Math.round((performance.now() - startMs) * 10) / 10, index_lag_ms: lagMs(), waited } satisfies SearchAnswerBody);
    try {
      const answer = await search.search(wanted);
      return finish(toBody(answer, wanted.currency), answer.next, false);
    } catch (error) {
      if (error instanceof InvalidCursorError) throw new AppError('invalid_request', 'the cursor does not belong to this search', { cause: error, details: [{ in: 'query', pointer: '/cursor', detail: 'must be page.next of the answer before, with the same query' }] });
      logger.warn({ err: error }, 'search index does not answer');
      return finish(await degraded(query.q), undefined, true);
    }
  });
  route(router, suggestProducts, async ({ query }) => {
    try {
      return ok({ data: await search.suggest(query.q, query.limit), degraded: false });
    } catch (error) {
      logger.warn({ err: error }, 'search index does not answer');
      return ok({ data: [], degraded: true });
    }
  });
  return router;
}
