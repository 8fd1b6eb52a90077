import { popularSearches, queriesWithoutHits, searchesWithoutHits, topQueries } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { readSearchCounts } from './search-count.repository.ts';

export function searchCountRoutes({ db }: { readonly db: CatalogDb }): Router {
  const router = Router();
  for (const operation of [popularSearches, topQueries]) route(router, operation, async ({ query }) => ok(await readSearchCounts(db, { ...query, withoutHits: false })));
  for (const operation of [searchesWithoutHits, queriesWithoutHits]) route(router, operation, async ({ query }) => ok(await readSearchCounts(db, { ...query, withoutHits: true })));
  return router;
}
