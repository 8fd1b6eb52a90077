import { getPosStatus } from '@millrace/contracts';
import type { PosStatus } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { formatPosTime } from '@millrace/kiotviet';
import type { OpenKiotviet } from '@millrace/kiotviet';
import { within } from '@millrace/service';
import { Router } from 'express';
import type { Pool } from 'pg';
import { countLinks } from './link.repository.ts';
import { readNotificationState } from './notification.repository.ts';
import { findLastRun, readCursor } from './run.repository.ts';

export interface StatusRoutesDeps {
  readonly pos: OpenKiotviet | undefined;
  readonly pool: Pool;
  readonly retailer: string | undefined;
  readonly intervalMs: number;
  readonly hasWebhooks: boolean;
  readonly hasCaches: boolean;
}

const REDIS_MS = 2_000;

/** Null where Redis does not say. */
async function budgetOf({ kiotviet }: OpenKiotviet): Promise<PosStatus['budget']> {
  const state = await within(REDIS_MS, kiotviet.budget(), () => new Error('late')).catch(() => undefined);
  return state === undefined ? null : { limit: state.limit, used: state.used, remaining: Math.max(0, state.limit - state.used), blocked_seconds: Math.ceil(state.blockedMs / 1_000) };
}

function connectionOf({ kiotviet, tokens }: OpenKiotviet): Pick<PosStatus, 'connection' | 'token'> {
  const { state, lastSuccessAt, lastFailure } = kiotviet.connection();
  const token = tokens.state();
  return { connection: { state, last_success_at: lastSuccessAt, last_failure: lastFailure }, token: token ? { key_id: token.keyId, expires_in_seconds: token.expiresInSeconds } : null };
}

/** GET /api/pos/status: from Postgres, Redis and memory; the point of sale is not asked. */
export function statusRoutes({ pos, pool, retailer, intervalMs, hasWebhooks, hasCaches }: StatusRoutesDeps): Router {
  const router = Router();
  route(router, getPosStatus, async () => {
    const [cursor, run, linked, notifications, budget] = await Promise.all([readCursor(pool), findLastRun(pool), countLinks(pool), readNotificationState(pool), pos ? budgetOf(pos) : null]);
    const body: PosStatus = {
      configured: pos !== undefined, system: 'kiotviet', retailer: retailer ?? null, ...(pos ? connectionOf(pos) : { connection: null, token: null }), budget,
      sync: { modified_to: cursor.products === null ? null : formatPosTime(cursor.products), run: run ?? null, linked_products: linked, interval_seconds: intervalMs === 0 ? null : intervalMs / 1_000 },
      webhooks: { configured: pos !== undefined && hasWebhooks, received: notifications.received, last_received_at: notifications.lastReceivedAt, waiting_products: notifications.waiting }, caches: hasCaches,
    };
    return ok(body);
  });
  return router;
}
