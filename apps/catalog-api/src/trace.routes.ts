import type { CatalogueTrace } from '@millrace/contracts';
import { skuSchema } from '@millrace/contracts';
import { parsePart, requireScope } from '@millrace/http';
import { Router } from 'express';
import { z } from 'zod';
import type { CatalogDb } from './database.ts';
import { findTracedRow, findWaitingEvents, findLastPublished } from './trace.repository.ts';

const params = z.object({ sku: skuSchema });

/** `GET /internal/trace/{sku}`: the row and its events in the outbox. */
export function traceRoutes({ readDb }: { readonly readDb: CatalogDb }): Router {
  const router = Router();
  router.get('/trace/:sku', requireScope('ops'), async (req, res) => {
    const { sku } = parsePart(params, req.params, 'path');
    const row = await findTracedRow(readDb, sku);
    const [waiting, published] = await Promise.all([findWaitingEvents(readDb, sku), row ? findLastPublished(readDb, sku, row.updated_at) : undefined]);
    res.json({ row: row ?? null, outbox: { waiting: [...waiting], published: published ?? null } } satisfies CatalogueTrace);
  });
  return router;
}
