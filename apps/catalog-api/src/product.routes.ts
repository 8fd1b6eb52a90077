import { adjustStock, createProduct, deleteProduct, getProduct, listProducts, patchProduct, setStock } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import { decodeCursor, encodeCursor, formatEtag, idempotent, matchesIfNoneMatch, ok, parseIfMatch, route, traceparentOf } from '@millrace/http';
import type { IdempotencyStore, Reply } from '@millrace/http';
import { Router } from 'express';
import type { Request } from 'express';
import { z } from 'zod';
import type { CatalogDb, CatalogTrx } from './database.ts';
import * as products from './product.repository.ts';
import type { WriteProducts } from './write-products.ts';

export interface ProductRoutesDeps {
  readonly db: CatalogDb;
  /** Runs a write in one transaction and wakes the relay after its commit. */
  readonly write: WriteProducts;
  readonly idempotency: IdempotencyStore<CatalogTrx>;
  readonly defaultCurrency: string;
}

/** An import that commits holds its rows for seconds: who changes one of them waits no longer, and leaves connections to others. */
const LOCK_TIMEOUT_MS = 3_000;
const listCursor = z.object({ u: z.iso.datetime(), s: z.string() });
const withEtag = (product: Product): Reply => ok(product, { ETag: formatEtag(product) });

export function productRoutes({ db, write, idempotency, defaultCurrency }: ProductRoutesDeps): Router {
  const router = Router();
  const inTransaction = <T>(req: Request, work: (trx: CatalogTrx) => Promise<T>): Promise<T> => write(work, { traceparent: traceparentOf(req), lockTimeoutMs: LOCK_TIMEOUT_MS });

  route(router, createProduct, idempotent(idempotency, ({ body, req }, keep) => inTransaction(req, async (trx) => {
    const product = await products.insertProduct(trx, body, body.currency ?? defaultCurrency);
    const reply = { status: 201, body: product, headers: { ETag: formatEtag(product), Location: `/api/products/${encodeURIComponent(product.sku)}` } };
    await keep(trx, reply);
    return reply;
  })));
  route(router, listProducts, async ({ query }) => {
    const after = query.cursor === undefined ? undefined : decodeCursor(listCursor, query.cursor);
    const page = await products.listProducts(db, {
      limit: query.limit + 1,
      ...(query.updated_since !== undefined && { updatedSince: query.updated_since }),
      ...(after && { after: { updatedAt: after.u, sku: after.s } }),
    });
    const data = page.slice(0, query.limit);
    const last = page.length > query.limit ? data.at(-1) : undefined;
    return ok({ data, page: { next: last ? encodeCursor({ u: last.updated_at, s: last.sku }) : null, limit: query.limit } });
  });
  route(router, getProduct, async ({ params, req }) => {
    const product = await products.getProduct(db, params.sku);
    const etag = formatEtag(product);
    return matchesIfNoneMatch(req.get('if-none-match'), etag) ? { status: 304, headers: { ETag: etag } } : withEtag(product);
  });
  route(router, patchProduct, async ({ params, body, req }) => {
    const accepted = parseIfMatch(req.get('if-match'));
    return withEtag(await inTransaction(req, (trx) => products.updateProduct(trx, params.sku, body, accepted)));
  });
  route(router, deleteProduct, async ({ params, req }) => {
    const accepted = parseIfMatch(req.get('if-match'));
    return { status: 204, headers: { ETag: formatEtag(await inTransaction(req, (trx) => products.deleteProduct(trx, params.sku, accepted))) } };
  });
  route(router, setStock, async ({ params, body, req }) => {
    const accepted = parseIfMatch(req.get('if-match'));
    return withEtag(await inTransaction(req, (trx) => products.setStock(trx, params.sku, { stock: body.stock, expectedVersion: body.expected_version }, accepted)));
  });
  route(router, adjustStock, idempotent(idempotency, ({ params, body, req }, keep) => inTransaction(req, async (trx) => {
    const reply = withEtag(await products.adjustStock(trx, params.sku, body.delta));
    await keep(trx, reply);
    return reply;
  })));
  return router;
}
