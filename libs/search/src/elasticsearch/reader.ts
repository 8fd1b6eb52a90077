import type { Client, estypes } from '@elastic/elasticsearch';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { CursorPosition } from '../cursor.ts';
import type { FacetCount, PriceRangeCount, SearchAnswer, SearchHit, SearchQuery, SearchReader } from '../ports.ts';
import { analyseQuery } from '../text.ts';
import type { AnalysedQuery } from '../text.ts';
import { available, connect } from './client.ts';
import type { ElasticsearchOptions } from './client.ts';
import { correctionsFrom, suggesterOf, withoutCodes } from './corrections.ts';
import { toProduct } from './document.ts';
import type { IndexedProduct } from './document.ts';
import { facetsOf, fromSortValue, HIGHLIGHT_NAMES, highlightOf, matchQuery, sortOf, toSortValue, wordsQuery } from './query.ts';
import type { Corrections, Query } from './query.ts';
import { suggestFrom } from './suggest.ts';
import { visibleVersion } from './versions.ts';

export interface ElasticsearchReaderOptions extends ElasticsearchOptions {
  /** Default 2,000. */
  readonly timeoutMs?: number;
}

type Response = estypes.SearchResponse<IndexedProduct>;

/** Reads the live index through the alias. Needs no index to open; without one its answers reject with SearchUnavailableError. */
export function openElasticsearchSearchReader(options: ElasticsearchReaderOptions): SearchReader {
  const client = connect(options, { timeoutMs: options.timeoutMs ?? 2_000, retries: 1 });
  const { alias } = options;
  return {
    async search(query) {
      const cursor = decodeCursor('elasticsearch', query);
      const analysed = analyseQuery(query.q);
      const suggest = suggesterOf(analysed);
      const first = await find(client, alias, { query, analysed, cursor, corrections: new Map(), suggest });
      // Most queries have no unknown word and are answered by the first request.
      const corrections = await withoutCodes(client, alias, correctionsFrom(first.suggest));
      return toAnswer(query, analysed, corrections.size === 0 ? first : await find(client, alias, { query, analysed, cursor, corrections }));
    },
    suggest: (prefix, limit) => available(suggestFrom(client, { alias, prefix, limit })),
    versionOf: (sku) => visibleVersion(client, alias, sku),
    close: () => client.close(),
  };
}

interface Find {
  readonly query: SearchQuery;
  readonly analysed: AnalysedQuery;
  readonly cursor: CursorPosition | undefined;
  readonly corrections: Corrections;
  readonly suggest?: estypes.SearchSuggester | undefined;
}

const sortFor = (query: SearchQuery, analysed: AnalysedQuery): SearchQuery['sort'] => (query.sort === 'relevance' && analysed.isEmpty ? 'newest' : query.sort);

async function find(client: Client, alias: string, { query, analysed, cursor, corrections, suggest }: Find): Promise<Response> {
  const sort = sortFor(query, analysed);
  const match = matchQuery(query, analysed, corrections);
  const key = cursor === undefined ? null : sort === 'relevance' ? await presentScore(client, { alias, match, cursor }) : cursor.key;
  return available(
    client.search<IndexedProduct>({
      index: alias,
      size: query.limit + 1,
      query: match,
      sort: sortOf(sort, query.currency),
      track_scores: true,
      track_total_hits: true,
      aggs: facetsOf(query.currency),
      ...(analysed.terms.length > 0 ? { highlight: highlightOf(wordsQuery(analysed, corrections)) } : {}),
      ...(cursor === undefined ? {} : { search_after: [toSortValue(sort, key), cursor.sku] }),
      ...(suggest === undefined ? {} : { suggest }),
    }),
  );
}

/**
 * Scores move a little whenever any document changes, so the page starts after the *present* score of the last hit,
 * as long as that document itself is unchanged.
 */
async function presentScore(client: Client, { alias, match, cursor }: { alias: string; match: Query; cursor: CursorPosition }): Promise<number | null> {
  const itself = [{ term: { sku: cursor.sku } }, { term: { version: cursor.version } }];
  const { hits } = await available(client.search({ index: alias, size: 1, _source: false, query: { bool: { must: [match], filter: itself } } }));
  return hits.hits[0]?._score ?? cursor.key;
}

function toAnswer(query: SearchQuery, analysed: AnalysedQuery, { hits, aggregations }: Response): SearchAnswer {
  const page = hits.hits.slice(0, query.limit);
  const last = page.at(-1);
  const sort = sortFor(query, analysed);
  const total = typeof hits.total === 'number' ? hits.total : (hits.total?.value ?? 0);
  const hasMore = hits.hits.length > query.limit;
  return {
    hits: page.flatMap(toHit),
    total,
    facets: {
      category: toCounts(aggregations, 'category', String),
      brand: toCounts(aggregations, 'brand', String),
      merchant: toCounts(aggregations, 'merchant', Number),
      price: toPrices(aggregations),
    },
    ...(hasMore && last?._source !== undefined
      ? { next: encodeCursor('elasticsearch', query, { key: fromSortValue(sort, last.sort?.[0]), sku: last._source.sku, version: last._source.version }) }
      : {}),
  };
}

function toHit({ _source, _score, highlight }: estypes.SearchHit<IndexedProduct>): SearchHit[] {
  if (_source === undefined) return [];
  const highlights = Object.fromEntries(Object.entries(highlight ?? {}).map(([field, parts]) => [HIGHLIGHT_NAMES[field] ?? field, parts.join(' … ')]));
  return [{ product: toProduct(_source), score: _score ?? 0, highlights }];
}

type Aggregations = Response['aggregations'];
interface Bucket { readonly key: string | number; readonly doc_count: number; readonly from?: number; readonly to?: number }

function bucketsOf(aggregations: Aggregations, name: string): readonly Bucket[] {
  const aggregate = aggregations?.[name];
  return aggregate !== undefined && 'buckets' in aggregate && Array.isArray(aggregate.buckets) ? aggregate.buckets : [];
}

const toCounts = <V>(aggregations: Aggregations, name: string, convert: (key: string | number) => V): FacetCount<V>[] =>
  bucketsOf(aggregations, name).map(({ key, doc_count }) => ({ value: convert(key), count: doc_count }));

const toPrices = (aggregations: Aggregations): PriceRangeCount[] =>
  bucketsOf(aggregations, 'price').flatMap(({ from, to, doc_count }) => {
    if (doc_count === 0) return [];
    return [to === undefined ? { fromMinor: from ?? 0, count: doc_count } : { fromMinor: from ?? 0, toMinor: to, count: doc_count }];
  });
