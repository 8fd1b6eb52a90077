import { createMerchant, deleteMerchant, getMerchant, listMerchants, patchMerchant } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import type { CatalogDb } from './database.ts';
import * as merchants from './merchant.repository.ts';

export function merchantRoutes({ db }: { readonly db: CatalogDb }): Router {
  const router = Router();
  route(router, listMerchants, async () => ok({ data: await merchants.listMerchants(db) }));
  route(router, createMerchant, async ({ body }) => {
    const merchant = await db.transaction().execute((trx) => merchants.insertMerchant(trx, body));
    return { status: 201, body: merchant, headers: { Location: `/api/merchants/${merchant.id}` } };
  });
  route(router, getMerchant, async ({ params }) => ok(await merchants.getMerchant(db, params.id)));
  route(router, patchMerchant, async ({ params, body }) => ok(await merchants.renameMerchant(db, params.id, body.name)));
  route(router, deleteMerchant, async ({ params }) => {
    await merchants.deleteMerchant(db, params.id);
    return { status: 204 };
  });
  return router;
}
