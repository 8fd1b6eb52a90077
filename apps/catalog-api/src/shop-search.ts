import type { Relevance, SearchQuery } from '@millrace/search';
import { createHybridSearch, isFusable } from './hybrid-search.ts';
import type { HybridAnswer, HybridPorts } from './hybrid-search.ts';

export interface ShopSearchDeps extends HybridPorts {
  readonly relevance: Pick<Relevance, 'forQuery'>;
}

/** Searches as the shop wants it: with the synonyms and rules in force, and with fused ranks where they are wanted. Rejects as the index does. */
export type ShopSearch = (query: SearchQuery, options: { readonly hybrid: boolean }) => Promise<HybridAnswer>;

export function createShopSearch({ relevance, ...ports }: ShopSearchDeps): ShopSearch {
  const searchHybrid = createHybridSearch(ports);
  return async (asked, { hybrid }) => {
    const query = { ...asked, ...relevance.forQuery(asked, new Date()) };
    return hybrid && isFusable(query) ? searchHybrid(query) : { ...(await ports.search.search(query)), hybrid: false, degraded: false };
  };
}
