import type { Product } from '@millrace/contracts';
import type { Merchandising, SearchAnswer, SearchHit, SearchQuery, SearchReader } from '@millrace/search';
import type { Logger } from '@millrace/service';
import type { SimilarHit, VectorReader } from '@millrace/vectors';
import type { EmbedQuery } from './embed-query.ts';
import { fuseRanks } from './fuse-ranks.ts';
import type { Fused } from './fuse-ranks.ts';
import { encodeHybridCursor, startOfPage } from './hybrid-cursor.ts';
import { isHidden, isSelected, passesFilters } from './passes-filters.ts';

export interface HybridPorts {
  readonly search: Pick<SearchReader, 'search'>;
  readonly vectors: Pick<VectorReader, 'nearest'>;
  readonly embedQuery: EmbedQuery;
  /** Products of the catalogue by sku; those that do not exist are not in it. */
  readonly findProducts: (skus: readonly string[]) => Promise<ReadonlyMap<string, Product>>;
  readonly logger: Logger;
}

type Query = SearchQuery & { readonly merchandising: Merchandising };
/** `degraded`: vectors were wanted and could not be had, it is the list of the words. */
export type HybridAnswer = SearchAnswer & { readonly hybrid: boolean; readonly degraded: boolean };

/** What each side gives, and what the fused list has at most: all pages together end there. */
const DEPTH = 200;

/** Only words have neighbours, and only an order by relevance can be fused. */
export const isFusable = ({ q, sort }: SearchQuery): boolean => sort === 'relevance' && q !== undefined && q.trim() !== '';

interface Neighbour { readonly hit: SimilarHit; readonly product: Product }

/**
 * Two steps: the best by words and the nearest by vector, at most 200 each and both filtered; then their ranks fused. Pins lead as they do
 * without fusion, what is hidden stays hidden, and what is buried is ranked by its words alone. `total` and the facets are those of the words,
 * `total` with the products that only the vectors found. Every page computes the list anew; see hybrid-cursor.ts for what that means while
 * the index changes. While the vectors do not answer it is the list of the words, while the catalogue does not
 * what the index has of both. Rejects as the index does.
 */
export function createHybridSearch(ports: HybridPorts): (query: Query) => Promise<HybridAnswer> {
  /** undefined: they cannot be had. */
  const nearest = async (query: Query): Promise<readonly SimilarHit[] | undefined> => {
    try {
      const embedded = await ports.embedQuery(query.q ?? '');
      if (!embedded) return [];
      const { category, brand } = query;
      const hits = await ports.vectors.nearest(embedded.vector, { limit: DEPTH, excludeSkus: [], ...(category !== undefined && { category }), ...(brand !== undefined && { brand }) });
      return hits.filter(({ score }) => score > embedded.noise);
    } catch (error) {
      ports.logger.warn({ err: error }, 'no vectors for a search: its words only');
      return undefined;
    }
  };
  return async (query) => {
    const { cursor: _cursor, ...first } = query;
    const [lexical, hits] = await Promise.all([ports.search.search({ ...first, limit: DEPTH }), nearest(query)]);
    const neighbours = await ofCatalogue(ports, query, hits ?? [], lexical.hits);
    return { ...page(query, lexical, neighbours), degraded: hits === undefined };
  };
}

/** Those that the search may show, with their products: as the index has them, else from the catalogue. */
async function ofCatalogue({ findProducts, logger }: HybridPorts, query: Query, hits: readonly SimilarHit[], found: readonly SearchHit[]): Promise<readonly Neighbour[]> {
  const known = new Map(found.map(({ product }) => [product.sku, product]));
  const others = await findProducts(hits.map(({ sku }) => sku).filter((sku) => !known.has(sku))).catch((error: unknown) => {
    logger.warn({ err: error }, 'the catalogue does not answer: nothing is shown that only the vectors found');
    return new Map<string, Product>();
  });
  return hits.flatMap((hit) => {
    const product = known.get(hit.sku) ?? others.get(hit.sku);
    const mayBeShown = product && (known.has(hit.sku) || (passesFilters(product, query) && !isHidden(product, query.merchandising)));
    const isBuried = product && query.merchandising.boosts.some(({ type, select }) => type === 'bury' && isSelected(product, select));
    return product && mayBeShown && !isBuried ? [{ hit, product }] : [];
  });
}

function page(query: Query, lexical: SearchAnswer, neighbours: readonly Neighbour[]): Omit<HybridAnswer, 'degraded'> {
  const pinned = new Set(query.merchandising.pins.map(({ sku }) => sku));
  const pins = lexical.hits.filter(({ product }) => pinned.has(product.sku));
  const byWords = lexical.hits.filter(({ product }) => !pinned.has(product.sku));
  const byVector = neighbours.filter(({ product }) => !pinned.has(product.sku));
  const toHit = hitMaker(byWords, byVector, query.explain === true);
  const fused = fuseRanks([byWords.map(({ product }) => product.sku), byVector.map(({ product }) => product.sku)]);
  const list = [...pins, ...fused.flatMap((one) => toHit(one) ?? [])].slice(0, DEPTH);
  const start = startOfPage(query, list.map(({ product }) => product));
  const hits = list.slice(start, start + query.limit);
  const end = start + hits.length;
  const last = hits.at(-1);
  const found = new Set(lexical.hits.map(({ product }) => product.sku));
  const { next: _next, ...rest } = lexical;
  return {
    ...rest, hits, hybrid: neighbours.length > 0,
    total: lexical.total + neighbours.filter(({ product }) => !found.has(product.sku)).length,
    ...(last && end < list.length && { next: encodeHybridCursor(query, end, last.product.sku) }),
  };
}

/** The index' own hit where it has one, else one made of the product. */
function hitMaker(byWords: readonly SearchHit[], byVector: readonly Neighbour[], explains: boolean): (fused: Fused) => SearchHit | undefined {
  const hits = new Map(byWords.map((hit) => [hit.product.sku, hit]));
  const neighbours = new Map(byVector.map((neighbour) => [neighbour.product.sku, neighbour]));
  return (fused) => {
    const neighbour = neighbours.get(fused.sku);
    const hit = hits.get(fused.sku) ?? (neighbour && { product: neighbour.product, score: 0, highlights: {} });
    if (!hit) return undefined;
    const score = Math.round(fused.score * 1e6) / 1e6;
    return { ...hit, score, ...(explains && { explanation: [...(hit.explanation ?? []), ...explain(fused, neighbour)] }) };
  };
}

function explain({ ranks: [byWords, byVector], score }: Fused, neighbour: Neighbour | undefined): string[] {
  const words = byWords === undefined ? `not among the first ${DEPTH} by words` : `number ${byWords} by words`;
  const vector = byVector === undefined ? `not among the ${DEPTH} nearest by vector` : `number ${byVector} by vector (similarity ${(neighbour?.hit.score ?? 0).toFixed(2)})`;
  return [words, vector, `both ranks give the score ${score.toFixed(6)} (reciprocal rank fusion)`];
}
