import * as contracts from '@millrace/contracts';
import { formatPosTime } from '@millrace/kiotviet';
import type { Asker, OpenKiotviet, PosPage } from '@millrace/kiotviet';
import { ok, requestIdOf, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Identity } from '@millrace/service';
import { Router } from 'express';
import type { Request } from 'express';
import type { Pool } from 'pg';
import { connected } from './connected.ts';
import { maskCustomer, maskInvoice } from './mask-person.ts';
import { toBranchBody, toCategoryBody, toCustomerBody, toInvoiceBody, toProductBody } from './to-body.ts';

export interface ReadRoutesDeps {
  readonly pos: OpenKiotviet | undefined;
  readonly pool: Pool;
  readonly branchIds: readonly number[];
}

interface PageQuery { readonly limit: number; readonly offset: number; readonly modified_since?: string | undefined }

const paramsOf = ({ limit, offset, modified_since: since }: PageQuery) => ({ pageSize: limit, currentItem: offset, ...(since !== undefined && { lastModifiedFrom: formatPosTime(Date.parse(since)) }) });

function answer<T>({ data, unreadable, total }: PosPage<T>, { limit, offset }: PageQuery, toBody: (item: T) => unknown): Reply {
  const end = offset + data.length + unreadable.length;
  return ok({ data: data.map((item) => toBody(item)), page: { next: end < total && end > offset ? end : null, limit, offset, total }, unreadable: unreadable.length });
}

/** Each key and person has a part of the hour's calls. */
const askerOf = ({ subject, workspaceId = '' }: Identity): Asker => ({ caller: `${workspaceId}/${subject}` });

interface PersonalRead { readonly identity: Identity; readonly unmask: boolean; readonly operation: string; readonly rows: number; readonly req: Request }

const forbidden = (): AppError => new AppError('forbidden', 'people as they are need the scope pii:read', { details: [{ in: 'query', pointer: '/unmask', detail: 'needs the scope pii:read' }] });
const mayUnmask = (identity: Identity, unmask: boolean): void => {
  if (unmask && !identity.scopes.includes('pii:read')) throw forbidden();
};

/** Writes down who reads people as they are, before they are answered. */
async function noteRead(pool: Pool, { identity, unmask, operation, rows, req }: PersonalRead): Promise<void> {
  if (!unmask) return;
  await pool.query('insert into pos.pii_reads (subject, operation, rows, request_id) values ($1, $2, $3, $4)', [identity.subject, operation, rows, requestIdOf(req) ?? null]).catch((cause: unknown) => {
    throw new AppError('unavailable', 'people are not shown while their reading cannot be written down', { cause });
  });
}

/** Lists of the point of sale, as it has them now. */
export function readRoutes({ pos, pool, branchIds }: ReadRoutesDeps): Router {
  const router = Router();
  route(router, contracts.listPosProducts, async ({ query, identity }) => {
    const { include_stock: withStock, is_active: isActive } = query;
    const page = await connected(pos).kiotviet.list(withStock ? 'stock' : 'products', { ...paramsOf(query), ...(withStock && { includeInventory: true }), ...(isActive !== undefined && { isActive }) }, askerOf(identity));
    return answer(page, query, (product) => toProductBody(withStock ? product : { ...product, inventories: null }, branchIds));
  });
  route(router, contracts.listPosBranches, async ({ query, identity }) => answer(await connected(pos).kiotviet.list('branches', paramsOf(query), askerOf(identity)), query, toBranchBody));
  route(router, contracts.listPosCategories, async ({ query, identity }) => answer(await connected(pos).kiotviet.list('categories', paramsOf(query), askerOf(identity)), query, toCategoryBody));
  route(router, contracts.listPosCustomers, async ({ query, identity, req }) => {
    const { unmask, code } = query;
    mayUnmask(identity, unmask);
    const page = await connected(pos).kiotviet.list('customers', { ...paramsOf(query), ...(code !== undefined && { code }) }, askerOf(identity));
    await noteRead(pool, { identity, unmask, operation: 'listPosCustomers', rows: page.data.length, req });
    return answer(page, query, (one) => (unmask ? toCustomerBody(one) : maskCustomer(toCustomerBody(one))));
  });
  route(router, contracts.listPosInvoices, async ({ query, identity, req }) => {
    const { unmask } = query;
    mayUnmask(identity, unmask);
    const page = await connected(pos).kiotviet.list('invoices', paramsOf(query), askerOf(identity));
    await noteRead(pool, { identity, unmask, operation: 'listPosInvoices', rows: page.data.length, req });
    return answer(page, query, (one) => (unmask ? toInvoiceBody(one) : maskInvoice(toInvoiceBody(one))));
  });
  return router;
}
