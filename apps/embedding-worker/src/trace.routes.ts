import { skuSchema } from '@millrace/contracts';
import type { VectorsTrace } from '@millrace/contracts';
import { parsePart, requireScope } from '@millrace/http';
import type { VectorAdmin, VectorRecord } from '@millrace/vectors';
import { Router } from 'express';
import { z } from 'zod';
import type { Collections } from './collections.ts';

export interface TraceRoutesDeps {
  readonly admin: Pick<VectorAdmin, 'modelOf' | 'openReader'>;
  readonly collections: Pick<Collections, 'withLive'>;
}

const params = z.object({ sku: skuSchema });

async function recordOf(admin: TraceRoutesDeps['admin'], collection: string, sku: string): Promise<VectorRecord | undefined> {
  const reader = await admin.openReader(collection);
  try {
    return await reader.get(sku);
  } finally {
    await reader.close();
  }
}

/** `GET /internal/trace/{sku}`: what the live collection holds. */
export function traceRoutes({ admin, collections }: TraceRoutesDeps): Router {
  const router = Router();
  router.get('/trace/:sku', requireScope('ops'), async (req, res) => {
    const { sku } = parsePart(params, req.params, 'path');
    const found = await collections.withLive(async ({ collection, writer }): Promise<VectorsTrace> => {
      const [model, described, record] = await Promise.all([admin.modelOf(collection), writer.describe([sku]), recordOf(admin, collection, sku)]);
      const held = described.get(sku);
      return { collection, model: model.id, version: held?.version ?? null, deleted: held?.deleted ?? false, has_vector: record?.vector !== undefined, embedded_at: record?.embeddedAt ?? null };
    });
    res.json(found ?? ({ collection: null, model: null, version: null, deleted: false, has_vector: false, embedded_at: null } satisfies VectorsTrace));
  });
  return router;
}
