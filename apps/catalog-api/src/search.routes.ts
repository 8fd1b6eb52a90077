import { encodeLoggedSearch, fromMinor, LOGGED_SEARCH_HEADER, searchProducts, suggestProducts, toMinor } from '@millrace/contracts';
import type { SearchAnswerBody } from '@millrace/contracts';
import { ok, route, traceparentOf } from '@millrace/http';
import type { RouteInput } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { InvalidCursorError } from '@millrace/search';
import type { Relevance, SearchHit, SearchQuery, SearchReader } from '@millrace/search';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { isHidden, passesFilters } from './passes-filters.ts';
import { notPersonal } from './personal-search.ts';
import type { PersonalAnswer, PersonalSearch } from './personal-search.ts';
import { findProduct } from './product.repository.ts';
import { maskSearch } from './search-log.ts';
import type { ExecutedSearch, SearchLog } from './search-log.ts';
import type { ShopSearch } from './shop-search.ts';
import { createWaitForVersion } from './wait-for-version.ts';

export interface SearchRoutesDeps {
  readonly search: ShopSearch;
  readonly personal: PersonalSearch;
  readonly index: Pick<SearchReader, 'suggest' | 'versionOf'>;
  /** How far the index is behind, milliseconds; null: not known. */
  readonly lagMs: () => number | null;
  /** What is hidden stays so while the index is down. */
  readonly relevance: Pick<Relevance, 'forQuery'>;
  readonly log: Pick<SearchLog, 'record'>;
  /** Where a search does not say whether ranks are fused. */
  readonly isHybridByDefault: boolean;
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
    currency, sort: query.sort, limit: query.limit, explain: query.explain,
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

type HitProduct = Pick<SearchHit, 'product' | 'score' | 'highlights' | 'explanation'>;
const toHit = ({ product, score, highlights, explanation }: HitProduct): SearchAnswerBody['data'][number] => ({
  sku: product.sku, name: product.name, description: product.description, category: product.category, brand: product.brand, merchant_id: product.merchant_id,
  price: product.price, currency: product.currency, stock: product.stock, image_url: product.image_url, version: product.version, score, highlights: { ...highlights },
  ...(explanation && { explanation: [...explanation] }),
});

type Found = Pick<SearchAnswerBody, 'data' | 'total' | 'facets' | 'did_you_mean' | 'hybrid' | 'personalized' | 'personalized_reason' | 'ranking_id'>;

const toBody = (answer: PersonalAnswer, currency: string): Found => ({
  data: answer.hits.map(toHit),
  total: answer.total,
  did_you_mean: answer.didYouMean ?? null,
  hybrid: answer.hybrid, personalized: answer.personalized, personalized_reason: answer.personalized_reason, ranking_id: answer.ranking_id,
  facets: {
    category: [...answer.facets.category],
    brand: [...answer.facets.brand],
    merchant: [...answer.facets.merchant],
    price: answer.facets.price.map(({ fromMinor: from, toMinor: to, count }) => ({ from: Number(fromMinor(from, currency)), to: to === undefined ? null : Number(fromMinor(to, currency)), count })),
  },
});

/** The search as it is logged. */
function toLogged({ query, headers, req }: Pick<RouteInput<typeof searchProducts>, 'query' | 'headers' | 'req'>, currency: string, answer: SearchAnswerBody): ExecutedSearch {
  const { category, brand, merchant_id: merchantId, min_price: minPrice, max_price: maxPrice, in_stock: inStock, sort } = query;
  return {
    query: query.q ?? '', hits: answer.total, ms: answer.took_ms, degraded: answer.degraded, user: headers['x-user-id'], traceparent: traceparentOf(req),
    filters: { category, brand, merchant_id: merchantId, min_price: minPrice, max_price: maxPrice, in_stock: inStock, currency, sort },
  };
}

/** Search and suggest answer with a flag instead of failing while their index is down: an exact sku that passes the filters is still found, in Postgres. */
export function searchRoutes({ search, personal, index, lagMs, relevance, log, isHybridByDefault, db, defaultCurrency, logger }: SearchRoutesDeps): Router {
  const router = Router();
  const waitForVersion = createWaitForVersion(index);
  const degraded = async (query: SearchQuery): Promise<Found> => {
    const { q } = query;
    const product = q === undefined || q.trim() === '' || q.length > 128 ? undefined : await findProduct(db, q.trim());
    const isShown = product !== undefined && query.cursor === undefined && passesFilters(product, query) && !isHidden(product, relevance.forQuery(query, new Date()).merchandising);
    const data = isShown ? [toHit({ product, score: 1, highlights: {} })] : [];
    return { data, total: data.length, did_you_mean: null, hybrid: false, ...notPersonal('index_down'), facets: { category: [], brand: [], merchant: [], price: [] } };
  };
  route(router, searchProducts, async ({ query, headers, req }) => {
    const startMs = performance.now();
    const wanted = toSearchQuery(query, defaultCurrency);
    const waited = query.wait_for === undefined ? null : await waitForVersion(query.wait_for);
    const finish = (found: Found, next: string | undefined, isDegraded: boolean) => {
      const body = { ...found, page: { next: next ?? null, limit: query.limit }, degraded: isDegraded, took_ms: Math.round((performance.now() - startMs) * 10) / 10, index_lag_ms: lagMs(), waited } satisfies SearchAnswerBody;
      const noStore = query.personalize ? { 'cache-control': 'no-store' } : {};
      // Later pages are the same search.
      if (query.cursor !== undefined) return ok(body, noStore);
      const logged = toLogged({ query, headers, req }, wanted.currency, body);
      log.record(logged);
      return ok(body, { ...noStore, [LOGGED_SEARCH_HEADER]: encodeLoggedSearch(maskSearch(logged)) });
    };
    try {
      const hybrid = query.hybrid ?? isHybridByDefault;
      const { personalize, user_id: userId } = query;
      const answer = personalize && userId !== undefined ? await personal(wanted, { hybrid, userId }) : { ...(await search(wanted, { hybrid })), ...notPersonal('not_asked') };
      return finish(toBody(answer, wanted.currency), answer.next, answer.degraded);
    } catch (error) {
      if (error instanceof InvalidCursorError) throw new AppError('invalid_request', 'the cursor does not belong to this search: begin with the first page', { cause: error, details: [{ in: 'query', pointer: '/cursor', detail: 'must be page.next of the answer before, with the same query and user; it ends when synonyms or rules for that query change' }] });
      logger.warn({ err: error }, 'search index does not answer');
      return finish(await degraded(wanted), undefined, true);
    }
  });
  route(router, suggestProducts, async ({ query }) => {
    try {
      return ok({ data: await index.suggest(query.q, query.limit), degraded: false });
    } catch (error) {
      logger.warn({ err: error }, 'search index does not answer');
      return ok({ data: [], degraded: true });
    }
  });
  return router;
}
