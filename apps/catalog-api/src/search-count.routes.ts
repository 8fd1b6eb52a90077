import { popularSearches, searchesWithoutHits } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { readSearchCounts } from './search-count.repository.ts';

export function searchCountRoutes({ db }: { readonly db: CatalogDb }): Router {
  const router = Router();
  route(router, popularSearches, async ({ query }) => ok(await readSearchCounts(db, { ...query, withoutHits: false })));
  route(router, searchesWithoutHits, async ({ query }) => ok(await readSearchCounts(db, { ...query, withoutHits: true })));
  return router;
}
