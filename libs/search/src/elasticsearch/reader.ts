import type { Client, estypes } from '@elastic/elasticsearch';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { CursorPosition } from '../cursor.ts';
import { explain } from '../explain.ts';
import type { FacetCount, PriceRangeCount, RankingPart, SearchAnswer, SearchHit, SearchReader } from '../ports.ts';
import { correctedText, readQuery } from '../reading.ts';
import { analyseQuery } from '../text.ts';
import { available, connect } from './client.ts';
import type { ElasticsearchOptions } from './client.ts';
import { correct, correctionsFrom, suggesterOf, withoutKnown } from './corrections.ts';
import { toProduct } from './document.ts';
import type { IndexedProduct } from './document.ts';
import { facetsOf, fromSortValues, HIGHLIGHT_NAMES, highlightOf, matchQuery, orderOf, sortOf, toSortValues, wordsQuery } from './query.ts';
import type { Asked, Query } from './query.ts';
import { suggestFrom } from './suggest.ts';
import { repairKeys, surveyIndex } from './survey.ts';
import { visibleVersion } from './versions.ts';

export interface ElasticsearchReaderOptions extends ElasticsearchOptions {
  /** Default 2,000. */
  readonly timeoutMs?: number;
  /** Parts of the ranking to leave out; for evaluations. */
  readonly without?: readonly RankingPart[];
}

type Response = estypes.SearchResponse<IndexedProduct>;

/** Reads the live index through the alias. Needs no index to open; without one its answers reject with SearchUnavailableError. */
export function openElasticsearchSearchReader(options: ElasticsearchReaderOptions): SearchReader {
  const client = connect(options, { timeoutMs: options.timeoutMs ?? 2_000, retries: 1 });
  const { alias } = options;
  const without = new Set(options.without);
  return {
    async search(query) {
      const cursor = decodeCursor('elasticsearch', query);
      const analysed = analyseQuery(query.q);
      const typed = readQuery(analysed, query);
      const survey = await surveyIndex(client, alias, { reading: typed, without });
      const asked: Asked = { query, analysed, survey, without, reading: repairKeys(typed, survey, without) };
      const suggest = without.has('corrections') ? undefined : suggesterOf(asked.reading, survey);
      const first = await find(client, alias, { asked, cursor, suggest });
      // Most queries have no unknown word and are answered by the first request.
      const corrections = await withoutKnown(client, alias, correctionsFrom(first.suggest));
      if (corrections.size === 0) return toAnswer(asked, first);
      const corrected = { ...asked, reading: correct(asked.reading, corrections) };
      return toAnswer(corrected, await find(client, alias, { asked: corrected, cursor }));
    },
    suggest: (prefix, limit) => available(suggestFrom(client, { alias, prefix, limit })),
    versionOf: (sku) => visibleVersion(client, alias, sku),
    close: () => client.close(),
  };
}

interface Find { readonly asked: Asked; readonly cursor: CursorPosition | undefined; readonly suggest?: estypes.SearchSuggester | undefined }

async function find(client: Client, alias: string, { asked, cursor, suggest }: Find): Promise<Response> {
  const { query, reading } = asked;
  const order = orderOf(asked);
  const match = matchQuery(asked);
  const start = cursor !== undefined && order === 'relevance' ? { ...cursor, key: await presentScore(client, { alias, match, cursor }) } : cursor;
  return available(
    client.search<IndexedProduct>({
      index: alias,
      size: query.limit + 1,
      query: match,
      sort: sortOf(order, query.currency),
      track_scores: true,
      track_total_hits: true,
      aggs: facetsOf(query.currency),
      ...(reading.length > 0 ? { highlight: highlightOf(wordsQuery(asked)) } : {}),
      ...(start === undefined ? {} : { search_after: toSortValues(order, start) }),
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

function toAnswer(asked: Asked, { hits, aggregations }: Response): SearchAnswer {
  const { query, reading } = asked;
  const page = hits.hits.slice(0, query.limit);
  const last = page.at(-1);
  const total = typeof hits.total === 'number' ? hits.total : (hits.total?.value ?? 0);
  const hasMore = hits.hits.length > query.limit;
  const didYouMean = correctedText(query.q ?? '', reading, () => page.flatMap(({ _source }) => _source?.name ?? []));
  return {
    hits: page.flatMap((hit) => toHit(asked, hit)),
    total,
    facets: {
      category: toCounts(aggregations, 'category', String),
      brand: toCounts(aggregations, 'brand', String),
      merchant: toCounts(aggregations, 'merchant', Number),
      price: toPrices(aggregations),
    },
    ...(hasMore && last?._source !== undefined
      ? { next: encodeCursor('elasticsearch', query, { ...fromSortValues(orderOf(asked), last.sort ?? []), sku: last._source.sku, version: last._source.version }) }
      : {}),
    ...(didYouMean === undefined ? {} : { didYouMean }),
  };
}

function toHit(asked: Asked, { _source, _score, highlight }: estypes.SearchHit<IndexedProduct>): SearchHit[] {
  if (_source === undefined) return [];
  const highlights = Object.fromEntries(Object.entries(highlight ?? {}).map(([field, parts]) => [HIGHLIGHT_NAMES[field] ?? field, parts.join(' … ')]));
  const hit = { product: toProduct(_source), score: _score ?? 0, highlights };
  return [asked.query.explain === true ? { ...hit, explanation: explain(hit.product, asked) } : hit];
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
