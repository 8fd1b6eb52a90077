import { createHash } from 'node:crypto';
import type { estypes } from '@elastic/elasticsearch';
import { TEXT_FORMAT } from '../text.ts';

/**
 * Settings and mapping of a physical index. infra/elasticsearch/products-index.json is the same, for operators; a test compares them.
 * Words are split as `wordsOf` does, so that both engines see the same terms.
 */
export interface IndexOptions {
  /** Bounds how long a change stays invisible to searches. Default 200. */
  readonly refreshIntervalMs?: number;
}

const keyword: estypes.MappingProperty = { type: 'keyword' };
const stored: estypes.MappingProperty = { type: 'keyword', index: false, doc_values: false };
const intoText = ['all', 'words'];
/** Words of codes are no corrections of others. */
const codeIntoText = ['all'];
const stemmedSubfield: Record<string, estypes.MappingProperty> = { text: { type: 'text', analyzer: 'stemmed', index_options: 'offsets' } };
const prefixSubfield: Record<string, estypes.MappingProperty> = { prefix: { type: 'text', analyzer: 'prefix', search_analyzer: 'folded', index_options: 'docs', norms: true } };

const analysis: estypes.IndicesIndexSettingsAnalysis = {
  tokenizer: { words: { type: 'pattern', pattern: '[^\\p{L}\\p{N}\\p{M}\\p{Co}]+' } },
  filter: {
    // Lucene refuses a whole document for one term above 32,766 bytes.
    bounded: { type: 'length', min: 0, max: 255 },
    porter: { type: 'stemmer', language: 'english' },
    prefixes: { type: 'edge_ngram', min_gram: 1, max_gram: 20, preserve_original: true },
  },
  analyzer: {
    stemmed: { type: 'custom', tokenizer: 'words', filter: ['bounded', 'lowercase', 'asciifolding', 'porter'] },
    folded: { type: 'custom', tokenizer: 'words', filter: ['bounded', 'lowercase', 'asciifolding'] },
    written: { type: 'custom', tokenizer: 'words', filter: ['bounded', 'lowercase'] },
    prefix: { type: 'custom', tokenizer: 'words', filter: ['bounded', 'lowercase', 'asciifolding', 'prefixes'] },
  },
};

const properties: Record<string, estypes.MappingProperty> = {
  // The product, as it is returned.
  sku: { type: 'keyword', copy_to: codeIntoText, fields: stemmedSubfield },
  version: { type: 'long' },
  content_version: { type: 'long', index: false, doc_values: false },
  merchant_id: { type: 'integer' },
  name: { type: 'text', analyzer: 'stemmed', index_options: 'offsets', copy_to: intoText, fields: prefixSubfield },
  description: { type: 'text', analyzer: 'stemmed', index_options: 'offsets', copy_to: intoText },
  category: { type: 'keyword', copy_to: intoText, fields: { ...stemmedSubfield, ...prefixSubfield } },
  brand: { type: 'keyword', copy_to: intoText, fields: { ...stemmedSubfield, ...prefixSubfield } },
  mpn: { type: 'keyword', doc_values: false, copy_to: codeIntoText, fields: stemmedSubfield },
  ean: { type: 'keyword', doc_values: false },
  price: { type: 'double', index: false, doc_values: false },
  price_minor: { type: 'long', index: false, doc_values: false },
  currency: keyword,
  stock: { type: 'integer', index: false, doc_values: false },
  image_url: stored,
  attributes: { type: 'flattened', ignore_above: 1_000, depth_limit: 20 },
  status: keyword,
  created_at: stored,
  updated_at: stored,
  // What is derived from it for searching.
  deleted: { type: 'boolean' },
  deleted_ms: { type: 'long' },
  sku_code: { type: 'keyword', doc_values: false },
  codes: { type: 'keyword', doc_values: false },
  in_stock: { type: 'boolean' },
  created_ms: { type: 'long' },
  // Texts in composed form, where the product has decomposed letters, which asciifolding does not fold.
  composed: { ...stored, copy_to: intoText },
  // One field a currency, so that filters, sorts and ranges of one currency never meet prices in another.
  price_by_currency: { type: 'object', dynamic: true },
  all: { type: 'text', analyzer: 'stemmed' },
  words: { type: 'text', analyzer: 'folded', norms: false, index_options: 'docs' },
  // Words with marks, as they are written.
  exact: { type: 'text', analyzer: 'written', norms: false },
};

const mappings: estypes.MappingTypeMapping = {
  dynamic: 'strict',
  dynamic_templates: [{ prices: { path_match: 'price_by_currency.*', mapping: { type: 'long' } } }],
  properties,
};

/** Changes with the mapping, the analysis and with how texts become words; not with what an operator sets, such as the refresh interval. */
export const DEFINITION_HASH = createHash('sha256').update(JSON.stringify([analysis, mappings, TEXT_FORMAT])).digest('hex').slice(0, 16);

export const indexDefinition = ({ refreshIntervalMs = 200 }: IndexOptions = {}): Pick<estypes.IndicesCreateRequest, 'settings' | 'mappings'> => ({
  settings: {
    number_of_shards: 1,
    auto_expand_replicas: '0-1',
    refresh_interval: `${refreshIntervalMs}ms`,
    analysis,
  },
  mappings: { _meta: { definition_hash: DEFINITION_HASH }, ...mappings },
});
