import type { Product, SkuRange, StoredVersion } from '@millrace/contracts';
import type { Merchandising, QueryExpansion } from './relevance.ts';

/** What an index keeps of a product. Only active products are in an index; everything else is a tombstone there. */
export type SearchDocument = Product;

/** The wanted state of one sku. `product` absent = a tombstone: the sku must not be found, nor come back by an older version. */
export interface SearchChange {
  readonly sku: string;
  readonly version: number;
  readonly product?: SearchDocument;
}

/** applied = stored, or the same version was there already; stale = the index has a newer version; failed = that item alone must be tried again. */
export interface ChangeResult {
  readonly sku: string;
  readonly version: number;
  readonly outcome: 'applied' | 'stale' | 'failed';
  readonly reason?: string;
  /** Categories that readers may have seen this sku under before and see it under now (for cache purges). */
  readonly categories: readonly string[];
}

export interface SearchWriter {
  /**
   * Brings the index to the wanted state, one result for each change, in their order. Guarded by version: duplicates and reordering
   * change nothing. Resolves once the changes are visible to readers. Rejects only when nothing can be said (engine down).
   */
  apply(changes: readonly SearchChange[]): Promise<ChangeResult[]>;
  close(): Promise<void>;
}

export type SearchSort = 'relevance' | 'price_asc' | 'price_desc' | 'newest';

export interface SearchQuery {
  /** Absent or empty: everything, by the sort. */
  readonly q?: string;
  /** Filter, sort and facet of prices are per currency. */
  readonly currency: string;
  readonly minPriceMinor?: number;
  readonly maxPriceMinor?: number;
  readonly merchantId?: number;
  readonly category?: string;
  readonly brand?: string;
  /** true: stock is unknown or above 0; false: stock is 0. */
  readonly inStock?: boolean;
  readonly sort: SearchSort;
  /** 1 to 200 */
  readonly limit: number;
  /** Opaque, from an earlier answer to the same query; malformed or foreign ones throw InvalidCursorError. */
  readonly cursor?: string;
  /** What words of `q` may be written as (`compileRelevance`). An expansion counts as the word itself and scores a little below it. */
  readonly expansions?: readonly QueryExpansion[];
  /** What merchandisers want for this query (`compileRelevance`). A cursor ends with what applied when it was made. */
  readonly merchandising?: Merchandising;
  /** Each hit says why it is there. */
  readonly explain?: boolean;
}

export interface FacetCount<V = string> { readonly value: V; readonly count: number }
/** from inclusive, to exclusive; integer minor units of the query's currency; to absent = open end. */
export interface PriceRangeCount { readonly fromMinor: number; readonly toMinor?: number; readonly count: number }

export interface SearchHit {
  readonly product: SearchDocument;
  /** Higher is better; comparable only inside one answer. */
  readonly score: number;
  /** Field name to HTML-escaped text with the matched words between <em> and </em>. */
  readonly highlights: Readonly<Record<string, string>>;
  /** Where it was asked for: why this product is here and where it stands, sentences in plain words. */
  readonly explanation?: readonly string[];
}

export interface SearchAnswer {
  readonly hits: readonly SearchHit[];
  /** Exact number of matching products. */
  readonly total: number;
  readonly facets: {
    readonly category: readonly FacetCount[];
    readonly brand: readonly FacetCount[];
    readonly merchant: readonly FacetCount<number>[];
    readonly price: readonly PriceRangeCount[];
  };
  /** Cursor of the next page; absent on the last one. */
  readonly next?: string;
  /** The query with its unknown words corrected, as a person would type it; absent where nothing was corrected. What was found is what this finds. */
  readonly didYouMean?: string;
}

/** Parts of the ranking that an evaluation may leave out, to see what they do. */
export type RankingPart = 'corrections' | 'typing_repair' | 'tones' | 'all_terms_first' | 'codes_first' | 'field_weights';

export interface Suggestion { readonly text: string; readonly kind: 'product' | 'category' | 'brand'; readonly sku?: string }

export interface SearchReader {
  search(query: SearchQuery): Promise<SearchAnswer>;
  /** Completions of what is being typed, best first; tolerates one typo from four letters on. */
  suggest(prefix: string, limit: number): Promise<readonly Suggestion[]>;
  /** The version under which searches see this sku now; undefined where they never saw it or it is purged. Not a realtime get: what it says, a search finds. */
  versionOf(sku: string): Promise<StoredVersion | undefined>;
  close(): Promise<void>;
}

/** Administration of the named physical indexes behind the one live name. Used by es-sync-worker alone. */
export interface SearchAdmin {
  /** The live physical index, or undefined when there is none yet. */
  liveIndex(): Promise<string | undefined>;
  /** Creates an empty physical index beside the live one and returns its name. */
  createIndex(): Promise<string>;
  /** A writer to one physical index. */
  openWriter(index: string): Promise<SearchWriter>;
  /** Makes the physical index live, atomically for readers. */
  swapTo(index: string): Promise<void>;
  /** Removes one that is not live, such as one whose build failed. Nothing where there is none. */
  dropIndex(index: string): Promise<void>;
  /** Deletes physical indexes other than the live one and the given ones. */
  dropOthers(keep: readonly string[]): Promise<readonly string[]>;
  /** Active documents in the physical index. */
  count(index: string): Promise<number>;
  /**
   * Version of every active sku of the index, tombstones left out; each once, in batches, bounded memory. Only skus in `ranges` (absent: all),
   * in the order of their UTF-8 bytes. What changes meanwhile may be seen before or after. Rejects with the signal's reason when it aborts.
   */
  readVersions(index: string, ranges?: readonly SkuRange[], signal?: AbortSignal): AsyncIterable<readonly StoredVersion[]>;
  /** What is stored of these skus now, tombstones included (visible to searches or not yet). */
  versionsOf(index: string, skus: readonly string[]): Promise<ReadonlyMap<string, StoredVersion>>;
  /** A reader of one physical index, live or not (validation before a swap). */
  openReader(index: string): Promise<SearchReader>;
  /** Hash of the index definition that this code creates (mapping, analysis, format, how words are made). */
  readonly definitionHash: string;
  /** What that index was created with; undefined where it does not say. Another one than `definitionHash` means: rebuild. */
  definitionHashOf(index: string): Promise<string | undefined>;
  /** Tombstones last at least 30 days; older ones are purged here. */
  purgeTombstones(olderThanDays: number): Promise<number>;
  /** Rejects when the engine cannot answer now (readiness). */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The cursor was not made by this engine for this query, or synonyms and rules for it have changed since: begin with the first page. */
export class InvalidCursorError extends Error {
  override readonly name = 'InvalidCursorError';
}
