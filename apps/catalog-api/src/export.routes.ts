import { exportQuery } from '@millrace/contracts';
import { decodeCursor, encodeCursor, parsePart } from '@millrace/http';
import { Router } from 'express';
import { z } from 'zod';
import type { CatalogDb } from './database.ts';
import { drained } from './drained.ts';
import { readExportPage, readWatermark } from './export.repository.ts';

const PAGE_ROWS = 500;
const exportCursor = z.object({ u: z.iso.datetime(), s: z.string() });

export interface ExportRoutesDeps {
  /** Its sessions must be named READER_NAME. */
  readonly readDb: CatalogDb;
}

/**
 * `GET /internal/products/export?after=&updated_since=&limit=`: every product and tombstone as NDJSON, keyset by (updated_at, sku), ended by
 * the watermark. Bounded memory: one page at a time, at the reader's pace.
 */
export function exportRoutes({ readDb }: ExportRoutesDeps): Router {
  const router = Router();
  router.get('/products/export', async (req, res) => {
    const query = parsePart(exportQuery, req.query, 'query');
    const start = query.after === undefined ? undefined : decodeCursor(exportCursor, query.after);
    const watermark = await readWatermark(readDb);
    res.type('application/x-ndjson').set('X-Watermark', watermark);
    let after = start && { updatedAt: start.u, sku: start.s };
    let rows = 0;
    let complete = false;
    const limit = query.limit ?? Infinity;
    while (rows < limit && !complete && !res.destroyed) {
      const wanted = Math.min(PAGE_ROWS, limit - rows);
      const page = await readExportPage(readDb, { limit: wanted, ...(query.updated_since !== undefined && { updatedSince: query.updated_since }), ...(after && { after }) });
      rows += page.length;
      complete = page.length < wanted;
      const last = page.at(-1);
      if (last) after = { updatedAt: last.updatedAt, sku: last.sku };
      const text = page.map((row) => `{${row.line},"after":"${encodeCursor({ u: row.updatedAt, s: row.sku })}"}\n`).join('');
      if (text !== '' && !res.write(text)) await drained(res);
    }
    res.end(`${JSON.stringify({ type: 'watermark', watermark, rows, complete })}\n`);
  });
  return router;
}
