import { getArpuAnalytics, getSubscriberAnalytics, listSubscriberLoads } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { AppError } from '@millrace/service';
import { listLoads } from '@millrace/subscribers';
import type { Pointer, StoredAnalytics } from '@millrace/subscribers';
import { Router } from 'express';
import type { Pool } from 'pg';
import { isGenerationGone } from './analytics.ts';
import type { Analytics } from './analytics.ts';
import { freshnessText } from './answers.ts';
import type { Block } from './answers.ts';
import { sendText } from './subscriber.routes.ts';

export interface AnalyticsRoutesDeps {
  readonly analytics: Analytics;
  /** The primary: loads are never read from a replica, whoever waits for one looks at them. */
  readonly pool: Pool;
  /** The pointer of this moment. */
  readonly askPointer: () => Promise<Pointer>;
  /** The pointer of Postgres. */
  readonly refresh: () => Promise<Pointer>;
}

/** Stored documents are objects with something in them: what is of the answer alone goes behind it. */
const answerText = (document: string, pointer: Pointer, block: Block): string => `${document.trimEnd().slice(0, -1)},"generation":${pointer.redis},"freshness":${freshnessText(pointer, 'postgres', [block])}}`;

/** `GET /api/ut360/analytics`, `/analytics/arpu`, `/loads`. */
export function analyticsRoutes({ analytics, pool, askPointer, refresh }: AnalyticsRoutesDeps): Router {
  const router = Router();
  const read = async (): Promise<{ readonly pointer: Pointer; readonly stored: StoredAnalytics }> => {
    const pointer = await askPointer();
    try {
      return { pointer, stored: await analytics.read(pointer) };
    } catch (error) {
      if (!isGenerationGone(error)) throw error;
      // Removed: this process had not heard of the new one for a minute.
      const newer = await refresh();
      return { pointer: newer, stored: await analytics.read(newer) };
    }
  };
  route(router, getSubscriberAnalytics, async ({ res }) => {
    const { pointer, stored } = await read();
    return sendText(res, answerText(stored.services, pointer, 'recommendation'));
  });
  route(router, getArpuAnalytics, async ({ res }) => {
    const { pointer, stored } = await read();
    return sendText(res, answerText(stored.arpu, pointer, 'arpu'));
  });
  route(router, listSubscriberLoads, async ({ query }) => {
    const data = await listLoads(pool, query.limit).catch((error: unknown) => {
      throw new AppError('unavailable', 'loads cannot be listed now: Postgres has not answered', { cause: error, headers: { 'Retry-After': '2' } });
    });
    return ok({ data });
  });
  return router;
}
