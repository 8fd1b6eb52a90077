import type { Product, Rule } from '@millrace/contracts';
import type { Db, Trx } from '@millrace/database';
import type { ColumnType, Generated } from 'kysely';

interface ProductsTable {
  readonly sku: string;
  readonly version: ColumnType<number, never, never>;
  readonly content_version: ColumnType<number, never, never>;
  readonly merchant_id: number;
  readonly name: string;
  readonly description: string | null;
  readonly category: string | null;
  readonly brand: string | null;
  readonly mpn: string | null;
  readonly ean: string[];
  /** Decimal text: never a float. */
  readonly price: string | null;
  readonly price_minor: number | null;
  readonly currency: string;
  readonly stock: number | null;
  readonly image_url: string | null;
  /** JSON text on the way in. */
  readonly attributes: ColumnType<Product['attributes'], string, string>;
  readonly status: 'draft' | 'active' | 'archived';
  readonly created_at: ColumnType<string, never, never>;
  readonly updated_at: ColumnType<string, never, never>;
  readonly deleted_at: ColumnType<string | null, null, string | null>;
}

interface MerchantsTable {
  readonly id: Generated<number>;
  readonly name: string;
  readonly created_at: Generated<string>;
  readonly updated_at: Generated<string>;
}

interface IdempotencyKeysTable {
  readonly key: string;
  readonly fingerprint: string;
  readonly reply: ColumnType<unknown, string | null, string | null>;
  readonly locked_until: string;
  readonly created_at: Generated<string>;
}

interface RelevanceStateTable {
  readonly revision: ColumnType<number, never, never>;
}

interface SynonymsTable {
  readonly id: Generated<number>;
  /** The revision of its last change. */
  readonly version: ColumnType<number, never, never>;
  readonly kind: 'equivalent' | 'one_way';
  readonly terms: readonly string[];
  readonly means: readonly string[] | null;
  readonly created_at: ColumnType<string, never, never>;
  readonly updated_at: ColumnType<string, never, never>;
}

interface RulesTable {
  readonly id: Generated<number>;
  readonly version: ColumnType<number, never, never>;
  readonly query: string | null;
  readonly category: string | null;
  readonly active_from: string | null;
  readonly active_until: string | null;
  /** JSON text on the way in. */
  readonly action: ColumnType<Rule['action'], string, string>;
  readonly created_at: ColumnType<string, never, never>;
  readonly updated_at: ColumnType<string, never, never>;
}

interface SearchCountsTable {
  readonly day: string;
  readonly query: string;
  readonly searches: number;
  readonly no_hits: number;
  readonly last_at: string;
}

export interface CatalogSchema {
  'catalog.products': ProductsTable;
  'catalog.merchants': MerchantsTable;
  'catalog.idempotency_keys': IdempotencyKeysTable;
  'catalog.relevance_state': RelevanceStateTable;
  'catalog.synonyms': SynonymsTable;
  'catalog.rules': RulesTable;
  'catalog.search_counts': SearchCountsTable;
}
export type CatalogDb = Db<CatalogSchema>;
export type CatalogTrx = Trx<CatalogSchema>;
