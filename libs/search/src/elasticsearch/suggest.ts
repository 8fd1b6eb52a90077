import type { Client, estypes } from '@elastic/elasticsearch';
import type { Suggestion } from '../ports.ts';
import { allowedEdits, analyseQuery, fold } from '../text.ts';
import { foldedKeys } from '../typing-repair.ts';
import { errorOf } from './client.ts';
import type { Query } from './query.ts';

const MAX_PRODUCTS_READ = 60;
const MAX_OF_A_KIND = 3;
const MAX_VALUES = 50;

/** Categories and brands first (at most three of each), then products; texts that begin with what was typed before others. */
export async function suggestFrom(client: Client, { alias, prefix, limit }: { alias: string; prefix: string; limit: number }): Promise<Suggestion[]> {
  const words = analyseQuery(prefix).terms.map((term) => term.folded);
  if (words.length === 0) return [];
  const asTyped = await complete(client, { alias, words, isFuzzy: false });
  if (asTyped.length > 0) return asTyped.slice(0, limit);
  const byKeys = words.map(foldedKeys);
  const meant = byKeys.join() === words.join() ? [] : await complete(client, { alias, words: byKeys, isFuzzy: false });
  return (meant.length > 0 ? meant : await complete(client, { alias, words, isFuzzy: true })).slice(0, limit);
}

interface Typed { readonly alias: string; readonly words: readonly string[]; readonly isFuzzy: boolean }

/** Every typed word begins a word of the field. */
const begins = (field: string, { words, isFuzzy }: Typed): Query => ({
  bool: {
    filter: [{ term: { deleted: false } }],
    must: words.map((word): Query => ({ match: { [`${field}.prefix`]: { query: word, fuzziness: isFuzzy && allowedEdits(word) > 0 ? 1 : 0 } } })),
  },
});

async function complete(client: Client, typed: Typed): Promise<Suggestion[]> {
  const valuesOf = (field: string): estypes.MsearchRequestItem => ({
    size: 0, query: begins(field, typed), aggs: { values: { terms: { field, size: MAX_VALUES, order: [{ _count: 'desc' }, { _key: 'asc' }] } } },
  });
  const { responses } = await client.msearch<{ name: string; sku: string }>({
    index: typed.alias,
    searches: [
      {}, valuesOf('category'),
      {}, valuesOf('brand'),
      {}, { size: MAX_PRODUCTS_READ, query: begins('name', typed), sort: [{ _score: { order: 'desc' } }, { sku: { order: 'asc' } }], _source: ['name', 'sku'] },
    ],
  });
  const [category, brand, products] = responses.map((response) => {
    if ('error' in response) throw errorOf(response.status ?? 500, response.error.reason ?? response.error.type);
    return response;
  });
  const skus = new Map<string, string>();
  for (const { _source } of products?.hits.hits ?? []) if (_source !== undefined && !skus.has(_source.name)) skus.set(_source.name, _source.sku);
  const first = typed.words[0] ?? '';
  const ranked = (texts: readonly string[]): string[] =>
    texts.map((text) => ({ text, start: fold(text).startsWith(first) ? 0 : 1 })).toSorted((a, b) => a.start - b.start).map(({ text }) => text);
  const named = (response: typeof category, kind: 'category' | 'brand'): Suggestion[] => ranked(keysOf(response?.aggregations)).slice(0, MAX_OF_A_KIND).map((text) => ({ text, kind }));
  return [
    ...named(category, 'category'),
    ...named(brand, 'brand'),
    ...ranked([...skus.keys()]).map((text): Suggestion => ({ text, kind: 'product', sku: skus.get(text) ?? '' })),
  ];
}

function keysOf(aggregations: Record<string, estypes.AggregationsAggregate> | undefined): string[] {
  const values = aggregations?.['values'];
  return values !== undefined && 'buckets' in values && Array.isArray(values.buckets) ? values.buckets.map(({ key }: { key: unknown }) => String(key)) : [];
}
