import { applyChangesBody } from '@millrace/contracts';
import { identityOf, parsePart, traceparentOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import express, { Router } from 'express';
import { applyChanges } from './apply-changes.ts';
import type { WriteProducts } from './write-products.ts';

export interface ApplyRoutesDeps {
  readonly write: WriteProducts;
  readonly defaultCurrency: string;
}

const BODY_BYTES = 16_777_216;

/** `POST /internal/products/apply`: a service writes in its own name. The source sends its changes in the order of their skus, so that no two writers wait for each other. */
export function applyRoutes({ write, defaultCurrency }: ApplyRoutesDeps): Router {
  const router = Router();
  router.post('/products/apply', express.json({ limit: BODY_BYTES }), async (req, res) => {
    const body = parsePart(applyChangesBody, req.body, 'body');
    if (identityOf(req)?.issuer !== body.source) throw new AppError('forbidden', 'a service writes in its own name only');
    res.json(await write((trx) => applyChanges(trx, body, defaultCurrency), { traceparent: traceparentOf(req) }));
  });
  return router;
}
