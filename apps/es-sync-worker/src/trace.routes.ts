import { skuSchema } from '@millrace/contracts';
import type { SearchTrace } from '@millrace/contracts';
import { parsePart, requireScope } from '@millrace/http';
import type { SearchAdmin } from '@millrace/search';
import { Router } from 'express';
import { z } from 'zod';
import type { SyncTracker } from './sync-tracker.ts';

export interface TraceRoutesDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'versionsOf' | 'openReader'>;
  readonly tracker: Pick<SyncTracker, 'versionOf'>;
}

const params = z.object({ sku: skuSchema });

/** What searches see, by a reader of its own: traces are rare. */
async function visibleVersion(admin: TraceRoutesDeps['admin'], index: string, sku: string): Promise<number | null> {
  const reader = await admin.openReader(index);
  try {
    const seen = await reader.versionOf(sku);
    return seen === undefined || seen.deleted ? null : seen.version;
  } finally {
    await reader.close();
  }
}

/** `GET /internal/trace/{sku}`: what the live index holds. */
export function traceRoutes({ admin, tracker }: TraceRoutesDeps): Router {
  const router = Router();
  router.get('/trace/:sku', requireScope('ops'), async (req, res) => {
    const { sku } = parsePart(params, req.params, 'path');
    const index = await admin.liveIndex();
    if (index === undefined) return void res.json({ index: null, version: null, deleted: false, visible_version: null, tracked_version: null } satisfies SearchTrace);
    const [stored, visible, tracked] = await Promise.all([admin.versionsOf(index, [sku]), visibleVersion(admin, index, sku), tracker.versionOf(index, sku).catch(() => undefined)]);
    const held = stored.get(sku);
    return void res.json({ index, version: held?.version ?? null, deleted: held?.deleted ?? false, visible_version: visible, tracked_version: tracked ?? null } satisfies SearchTrace);
  });
  return router;
}
