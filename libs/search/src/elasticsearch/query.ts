import type { estypes } from '@elastic/elasticsearch';
import type { CursorPosition } from '../cursor.ts';
import { PRICE_BORDERS } from '../price-ranges.ts';
import type { RankingPart, SearchQuery, SearchSort } from '../ports.ts';
import type { ReadTerm, Reading } from '../reading.ts';
import type { AnalysedQuery } from '../text.ts';
import { TIER } from '../tiers.ts';
import { boostWords, buryLast, groupClauses, hiddenBy, isGrouped, pinClauses } from './merchandise.ts';
import { phraseQuery, weightsOf } from './survey.ts';
import type { Survey } from './survey.ts';

/** The client's own type admits undefined. */
export type Query = NonNullable<estypes.QueryDslQueryContainer>;

/** Facet values that an answer lists. */
const MAX_FACET_VALUES = 100;
/** Sort values of products without a price in the query's currency: they come last. */
const NO_PRICE = { price_asc: Number.MAX_SAFE_INTEGER, price_desc: -1 } as const;
const NAME_BOOST = 0.5;

/** What a query is made of, beside what was asked. */
export interface Asked {
  readonly query: SearchQuery;
  readonly analysed: AnalysedQuery;
  readonly reading: Reading;
  readonly survey: Survey;
  readonly without: ReadonlySet<RankingPart>;
}

function termQuery(term: ReadTerm, { survey, without }: Pick<Asked, 'survey' | 'without'>): Query {
  const isNamed = !without.has('field_weights');
  const literal: Query = { bool: { should: term.words.flatMap((word) => [phraseQuery('all', [word]), ...(isNamed ? [phraseQuery('name', [word], NAME_BOOST)] : [])]) } };
  if (term.alternatives.length === 0) return literal;
  const weights = weightsOf(term, survey);
  // Nothing more for a synonym in the name: names repeat it, and it would outrank the word itself elsewhere.
  return { dis_max: { queries: [literal, ...term.alternatives.map(({ words }, at) => phraseQuery('all', words, weights[at]))] } };
}

const tier = (filter: Query, boost: number): Query => ({ constant_score: { filter, boost } });

function filters(query: SearchQuery): Query[] {
  const filter: Query[] = [{ term: { deleted: false } }];
  if (query.minPriceMinor !== undefined || query.maxPriceMinor !== undefined) {
    filter.push({ range: { [`price_by_currency.${query.currency}`]: { gte: query.minPriceMinor ?? 0, lte: query.maxPriceMinor ?? Number.MAX_SAFE_INTEGER } } });
  }
  if (query.merchantId !== undefined) filter.push({ term: { merchant_id: query.merchantId } });
  if (query.category !== undefined) filter.push({ term: { category: query.category } });
  if (query.brand !== undefined) filter.push({ term: { brand: query.brand } });
  if (query.inStock !== undefined) filter.push({ term: { in_stock: query.inStock } });
  return filter;
}

/** Words alone, for highlighting. */
export const wordsQuery = (asked: Asked): Query => ({ bool: { should: asked.reading.map((term) => termQuery(term, asked)) } });

function tiers({ analysed, reading, without }: Asked, terms: readonly Query[]): Query[] {
  const found: Query[] = [];
  if (terms.length > 0 && !without.has('all_terms_first')) found.push(tier({ bool: { must: [...terms] } }, TIER.allTerms));
  const marked = without.has('tones') ? [] : reading.flatMap(({ accented, alternatives }) => (accented === undefined ? [] : [{ accented, alternatives }]));
  for (const { accented, alternatives } of marked) {
    const asWritten: Query[] = [{ match: { exact: accented } }, ...alternatives.map(({ words }) => phraseQuery('all', words))];
    found.push(tier({ bool: { should: asWritten } }, TIER.asWritten / marked.length));
  }
  if (without.has('codes_first')) return found;
  const { wholeCodes, wordCodes } = analysed;
  if (wholeCodes.length > 0) found.push(tier({ terms: { sku_code: [...wholeCodes] } }, TIER.sku), tier({ terms: { codes: [...wholeCodes] } }, TIER.code));
  if (wordCodes.length > 0) found.push(tier({ terms: { codes: [...wordCodes] } }, TIER.codeInWords));
  return found;
}

export function matchQuery(asked: Asked): Query {
  const { query, analysed, reading } = asked;
  const filter = filters(query);
  const must_not = hiddenBy(query);
  if (analysed.isEmpty) return { bool: { filter, must_not, should: groupClauses(query), minimum_should_match: 0 } };
  const terms = reading.map((term) => termQuery(term, asked));
  const should = [...boostWords(query, terms), ...tiers(asked, terms), ...pinClauses(query)];
  return buryLast(query, { bool: { filter, must_not, should, minimum_should_match: 1 } });
}

/** `grouped`: without words, by the group that merchandising gave each product, then by date. */
export type Order = SearchSort | 'grouped';

export const orderOf = ({ query, analysed }: Asked): Order =>
  query.sort !== 'relevance' || !analysed.isEmpty ? query.sort : isGrouped(query) ? 'grouped' : 'newest';

/** No two products have the same place: the sku decides between equal keys. */
export function sortOf(sort: Order, currency: string): estypes.Sort {
  const bySku = { sku: { order: 'asc' } } as const;
  const byScore = { _score: { order: 'desc' } } as const;
  const byDate = { created_ms: { order: 'desc' } } as const;
  if (sort === 'relevance') return [byScore, bySku];
  if (sort === 'grouped') return [byScore, byDate, bySku];
  if (sort === 'newest') return [byDate, bySku];
  const order = sort === 'price_asc' ? 'asc' : 'desc';
  return [{ [`price_by_currency.${currency}`]: { order, missing: NO_PRICE[sort], unmapped_type: 'long' } }, bySku];
}

/** The cursor's place of a hit with these sort values. */
export function fromSortValues(order: Order, values: estypes.SortResults): { group: number; key: number | null } {
  const numbers = values.map((value) => (typeof value === 'number' ? value : null));
  if (order === 'grouped') return { group: numbers[0] ?? 0, key: numbers[1] ?? null };
  const key = numbers[0] ?? null;
  return { group: 0, key: (order === 'price_asc' || order === 'price_desc') && key === NO_PRICE[order] ? null : key };
}

export function toSortValues(order: Order, { group, key, sku }: CursorPosition): estypes.SortResults {
  if (order === 'grouped') return [group, key ?? 0, sku];
  return [key ?? (order === 'price_asc' || order === 'price_desc' ? NO_PRICE[order] : 0), sku];
}

const terms = (field: string): estypes.AggregationsAggregationContainer => ({
  terms: { field, size: MAX_FACET_VALUES, order: [{ _count: 'desc' }, { _key: 'asc' }] },
});

export const facetsOf = (currency: string): Record<string, estypes.AggregationsAggregationContainer> => ({
  category: terms('category'),
  brand: terms('brand'),
  merchant: terms('merchant_id'),
  price: {
    range: {
      field: `price_by_currency.${currency}`,
      ranges: PRICE_BORDERS.map((from, i) => {
        const to = PRICE_BORDERS[i + 1];
        return to === undefined ? { from } : { from, to };
      }),
    },
  },
});

const HIGHLIGHT_FIELDS = { name: 'name', 'brand.text': 'brand', 'category.text': 'category', 'mpn.text': 'mpn', 'sku.text': 'sku', description: 'description' } as const;
export const HIGHLIGHT_NAMES: Readonly<Record<string, string>> = HIGHLIGHT_FIELDS;

export const highlightOf = (words: Query): estypes.SearchHighlight => ({
  encoder: 'html',
  pre_tags: ['<em>'],
  post_tags: ['</em>'],
  require_field_match: false,
  highlight_query: words,
  number_of_fragments: 0,
  fields: Object.keys(HIGHLIGHT_FIELDS).map((field) => ({ [field]: field === 'description' ? { number_of_fragments: 1, fragment_size: 240 } : {} })),
});
