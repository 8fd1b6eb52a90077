/** Products that a rule speaks of: those that match every field that is given. */
export interface ProductSelector {
  readonly skus?: readonly string[];
  readonly category?: string;
  readonly brand?: string;
}

/** Makes words mean the same. `equivalent`: each of `terms` finds all of them. `one_way`: `terms` find `means` too, not the other way round. */
export type SynonymRule =
  | { readonly id: string; readonly kind: 'equivalent'; readonly terms: readonly string[] }
  | { readonly id: string; readonly kind: 'one_way'; readonly terms: readonly string[]; readonly means: readonly string[] };

/** What a merchandiser wants for some searches, in a period. At least one of `query` and `category` says for which. */
export interface MerchandisingRule {
  readonly id: string;
  /** The search's words, in any order, plural or singular, or synonyms of them. */
  readonly query?: string;
  /** The search's category filter. */
  readonly category?: string;
  /** ISO 8601; absent = always. `from` inclusive, `until` exclusive. */
  readonly from?: string;
  readonly until?: string;
  readonly action:
    | { readonly type: 'pin'; readonly skus: readonly string[] }
    | { readonly type: 'boost' | 'bury'; readonly select: ProductSelector }
    | { readonly type: 'hide'; readonly select: ProductSelector };
}

/** A phrase of the query and what it may be written as, all folded words. */
export interface QueryExpansion {
  readonly rule: string;
  readonly words: readonly string[];
  readonly alternatives: readonly (readonly string[])[];
}

/** What applies to one query. It obeys the query's filters; pins, boosts and burials only act where the sort is by relevance. */
export interface Merchandising {
  /** They lead the answer in this order, where they pass the filters; they need not match the words. */
  readonly pins: readonly { readonly rule: string; readonly sku: string }[];
  /** Never shown, nor counted in total and facets. */
  readonly hides: readonly { readonly rule: string; readonly select: ProductSelector }[];
  readonly boosts: readonly { readonly rule: string; readonly type: 'boost' | 'bury'; readonly select: ProductSelector }[];
}

/** Synonyms and rules in force, compiled once for many queries (`compileRelevance`). */
export interface Relevance {
  forQuery(query: { readonly q?: string; readonly category?: string }, now: Date): { readonly expansions: readonly QueryExpansion[]; readonly merchandising: Merchandising };
}
