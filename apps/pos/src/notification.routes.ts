import { receivePosNotification } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { isSignedBy } from '@millrace/kiotviet';
import type { OpenKiotviet } from '@millrace/kiotviet';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { Request } from 'express';
import type { Pool } from 'pg';
import { connected } from './connected.ts';
import type { PosMetrics } from './metrics.ts';
import { receive } from './notification.repository.ts';
import { readNotification } from './notification.ts';
import type { Worker } from './worker.ts';

export interface NotificationRoutesDeps {
  readonly pos: OpenKiotviet | undefined;
  readonly pool: Pool;
  readonly secrets: readonly string[];
  readonly worker: Worker | undefined;
  readonly metrics: PosMetrics;
}

const LIMIT_BYTES = 1_048_576;

/** The bytes as they came: the signature is over them. */
async function readBytes(req: Request): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > LIMIT_BYTES) throw new AppError('body_too_large', `the body is larger than ${LIMIT_BYTES} bytes`, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] });
    chunks.push(part);
  }
  return Buffer.concat(chunks);
}

/** POST /api/pos/webhooks/kiotviet: checked, written down, answered; the work is done afterwards, from Postgres. */
export function notificationRoutes({ pos, pool, secrets, worker, metrics }: NotificationRoutesDeps): Router {
  const router = Router();
  route(router, receivePosNotification, async ({ req }) => {
    const { kiotviet } = connected(pos);
    if (secrets.length === 0) throw new AppError('pos_not_configured', 'notifications are not taken: set KIOTVIET_WEBHOOK_SECRET for the service pos');
    const body = await readBytes(req);
    if (!isSignedBy(body, req.get('x-hub-signature'), secrets)) {
      metrics.notified('refused');
      throw new AppError('unauthenticated', 'the signature does not belong to the body', { details: [{ in: 'headers', pointer: '/x-hub-signature', detail: 'must be the HMAC-SHA-256 of the body under the secret of the webhook' }] });
    }
    const { isNew, products } = await receive(pool, readNotification(body));
    metrics.notified(isNew ? 'accepted' : 'repeated');
    if (products > 0) {
      await kiotviet.changed();
      void worker?.check();
    }
    return ok({ accepted: isNew, products });
  });
  return router;
}
