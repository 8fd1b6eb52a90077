import type { SearchAdmin, SearchAnswer, SearchChange, SearchDocument, SearchHit, SearchQuery, SearchReader, SearchWriter } from '../ports.ts';

/** What a suite needs of an adapter: an empty store of its own, and readers to it. */
export interface SearchAdapter {
  readonly admin: SearchAdmin;
  openReader(): SearchReader;
  /** Removes the store. */
  close(): Promise<void>;
}
export type OpenSearchAdapter = () => Promise<SearchAdapter>;

export interface Fixture {
  readonly adapter: SearchAdapter;
  readonly index: string;
  readonly writer: SearchWriter;
  readonly reader: SearchReader;
  readonly put: (...products: readonly SearchDocument[]) => Promise<void>;
  readonly search: (query?: Partial<SearchQuery>) => Promise<SearchAnswer>;
  /** Skus of the hits, in order. */
  readonly skus: (query?: Partial<SearchQuery>) => Promise<string[]>;
}

/** A product with believable defaults. */
export function product(fields: Partial<SearchDocument> & { sku: string }): SearchDocument {
  return {
    version: 1, content_version: 1, merchant_id: 1, name: `Product ${fields.sku}`, description: null, category: null, brand: null, mpn: null, ean: [],
    price: null, price_minor: null, currency: 'USD', stock: null, image_url: null, attributes: {}, status: 'active',
    created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z', ...fields,
  };
}

export const toChange = (document: SearchDocument): SearchChange => ({ sku: document.sku, version: document.version, product: document });
export const toTombstone = (sku: string, version: number): SearchChange => ({ sku, version });
export const skusOf = (hits: readonly SearchHit[]): string[] => hits.map((hit) => hit.product.sku);

/** Runs a test against a fresh live index, and removes all of it afterwards. */
export async function withFixture(open: OpenSearchAdapter, test: (fixture: Fixture) => Promise<void>): Promise<void> {
  const adapter = await open();
  const closers: (() => Promise<void>)[] = [() => adapter.close()];
  try {
    const index = await adapter.admin.createIndex();
    await adapter.admin.swapTo(index);
    const writer = await adapter.admin.openWriter(index);
    closers.push(() => writer.close());
    const reader = adapter.openReader();
    closers.push(() => reader.close());
    const search = (query: Partial<SearchQuery> = {}): Promise<SearchAnswer> => reader.search({ currency: 'USD', sort: 'relevance', limit: 20, ...query });
    await test({
      adapter, index, writer, reader, search,
      put: async (...products) => {
        const failed = (await writer.apply(products.map(toChange))).find(({ outcome }) => outcome !== 'applied');
        if (failed !== undefined) throw new Error(`${failed.sku}: ${failed.outcome} ${failed.reason ?? ''}`);
      },
      skus: async (query) => skusOf((await search(query)).hits),
    });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}
