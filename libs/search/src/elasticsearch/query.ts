import type { estypes } from '@elastic/elasticsearch';
import { PRICE_BORDERS } from '../price-ranges.ts';
import type { SearchQuery, SearchSort } from '../ports.ts';
import type { AnalysedQuery, QueryTerm } from '../text.ts';

/** The client's own type admits undefined. */
export type Query = NonNullable<estypes.QueryDslQueryContainer>;

/** Facet values that an answer lists. */
const MAX_FACET_VALUES = 100;
/** Added to BM25, so that each tier lies wholly above the next one; a float's precision at 8,000 is 0.001. */
const TIER = { sku: 8_000, code: 4_000, codeInWords: 2_000, allTerms: 1_000 } as const;
/** Sort values of products without a price in the query's currency: they come last. */
const NO_PRICE = { price_asc: Number.MAX_SAFE_INTEGER, price_desc: -1 } as const;
const NAME_BOOST = 0.5;

/** Known words for each term that was corrected. */
export type Corrections = ReadonlyMap<string, readonly string[]>;

function termQuery(term: QueryTerm, corrections: Corrections): Query {
  const words = corrections.get(term.folded) ?? [term.folded];
  const should: Query[] = words.flatMap((word): Query[] => [{ match: { all: word } }, { match: { name: { query: word, boost: NAME_BOOST } } }]);
  if (term.accented !== undefined) should.push({ match: { exact: term.accented } });
  return { bool: { should } };
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
export const wordsQuery = (analysed: AnalysedQuery, corrections: Corrections): Query => ({
  bool: { should: analysed.terms.map((term) => termQuery(term, corrections)) },
});

export function matchQuery(query: SearchQuery, analysed: AnalysedQuery, corrections: Corrections): Query {
  const filter = filters(query);
  if (analysed.isEmpty) return { bool: { filter } };
  const terms = analysed.terms.map((term) => termQuery(term, corrections));
  const should = [...terms];
  if (terms.length > 0) should.push(tier({ bool: { must: terms } }, TIER.allTerms));
  if (analysed.wholeCodes.length > 0) {
    should.push(tier({ terms: { sku_code: [...analysed.wholeCodes] } }, TIER.sku), tier({ terms: { codes: [...analysed.wholeCodes] } }, TIER.code));
  }
  if (analysed.wordCodes.length > 0) should.push(tier({ terms: { codes: [...analysed.wordCodes] } }, TIER.codeInWords));
  return { bool: { filter, should, minimum_should_match: 1 } };
}

/** No two products have the same place: the sku decides between equal keys. */
export function sortOf(sort: SearchSort, currency: string): estypes.Sort {
  const bySku = { sku: { order: 'asc' } } as const;
  if (sort === 'relevance') return [{ _score: { order: 'desc' } }, bySku];
  if (sort === 'newest') return [{ created_ms: { order: 'desc' } }, bySku];
  const order = sort === 'price_asc' ? 'asc' : 'desc';
  return [{ [`price_by_currency.${currency}`]: { order, missing: NO_PRICE[sort], unmapped_type: 'long' } }, bySku];
}

export const fromSortValue = (sort: SearchSort, value: unknown): number | null =>
  typeof value !== 'number' || ((sort === 'price_asc' || sort === 'price_desc') && value === NO_PRICE[sort]) ? null : value;

export const toSortValue = (sort: SearchSort, key: number | null): number => key ?? (sort === 'price_asc' || sort === 'price_desc' ? NO_PRICE[sort] : 0);

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
