import { DEFAULT_WORKSPACE, listAudit, pagedTimeSchema } from '@millrace/contracts';
import { decodeCursor, encodeCursor, ok } from '@millrace/http';
import { z } from 'zod';
import { listAuditEntries } from '../audit.repository.ts';
import type { GatewayDb } from '../database.ts';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';

const cursorSchema = z.tuple([pagedTimeSchema, z.int().nonnegative()]);

/** A status, or all of its class. */
function statusesOf(text: string): { readonly from: number; readonly to: number } {
  const [first = ''] = text;
  return text.endsWith('xx') ? { from: Number(first) * 100, to: Number(first) * 100 + 99 } : { from: Number(text), to: Number(text) };
}

/** `GET /api/admin/audit`: what callers of this workspace did, newest first. */
export const auditRoutes = (db: GatewayDb): LocalRoutes =>
  localRoute(listAudit, async ({ identity: { workspaceId = DEFAULT_WORKSPACE }, query: { limit, cursor, status, since, until, operation, key_id: keyId } }) => {
    const [at, id] = cursor === undefined ? [] : decodeCursor(cursorSchema, cursor);
    const found = await listAuditEntries(db, {
      workspaceId, limit: limit + 1, since, until, operation, keyId,
      status: status === undefined ? undefined : statusesOf(status),
      before: at === undefined || id === undefined ? undefined : { at, id },
    });
    const data = found.slice(0, limit);
    const last = data.at(-1);
    return ok({ data, page: { next: found.length > limit && last ? encodeCursor([last.at, last.id]) : null, limit } });
  });
