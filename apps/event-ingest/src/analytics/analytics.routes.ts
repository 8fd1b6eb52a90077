import { analyticsSeries, analyticsSummary, recountAnalytics, topProducts } from '@millrace/contracts';
import type { AnalyticsGranularity, AnalyticsProducts, AnalyticsSeries, AnalyticsSummary } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import type { Pool } from 'pg';
import { readCounts, readTopProducts, readUsers } from './analytics.repository.ts';
import type { Counts } from './analytics.repository.ts';
import type { Kind } from './deltas.ts';
import { rangeOf } from './range.ts';
import type { Range } from './range.ts';
import type { Fresh } from './read-analytics.ts';
import type { Recounted } from './recount.ts';
import { cutoffsOf } from './roll-up.repository.ts';
import type { Retention } from './roll-up.repository.ts';

export interface AnalyticsRoutesDeps {
  readonly pool: Pool;
  readonly readFresh: () => Promise<Fresh>;
  readonly retention: Retention;
  readonly recount: (range: { readonly from: string; readonly to: string }) => Promise<Recounted>;
  readonly now?: () => number;
}

const MAX_TOP_DAYS = 92;
const NONE: Counts = new Map();
const names = { views: 'view', clicks: 'click', carts: 'add_to_cart', purchases: 'purchase', ratings: 'rate', searches: 'search', searches_without_hits: 'search_no_hits' } as const satisfies Record<string, Kind>;

const toTime = (at: number): string => new Date(at).toISOString();
const toBody = (of: (kind: Kind) => number): AnalyticsSummary['totals'] => ({
  views: of(names.views), clicks: of(names.clicks), carts: of(names.carts), purchases: of(names.purchases), ratings: of(names.ratings), searches: of(names.searches), searches_without_hits: of(names.searches_without_hits),
});
const askedOf = ({ from, to, granularity }: Range, { completeTo, isDegraded }: Fresh) => ({
  from: toTime(from), to: toTime(to), granularity, complete_to: completeTo === null ? null : toTime(completeTo), degraded: isDegraded,
});
const rate = (part: number, whole: number): number | null => (whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000);

/** Every granule of the range, those without events too. */
const granules = ({ from, to, stepMs }: Range): readonly number[] => Array.from({ length: (to - from) / stepMs }, (_none, at) => from + at * stepMs);

/** `GET /api/analytics/…` of what event-ingest counts, `POST /api/admin/analytics/recount`. */
export function analyticsRoutes({ pool, readFresh, retention, recount, now = Date.now }: AnalyticsRoutesDeps): Router {
  const router = Router();
  const range = (query: { readonly from?: string | undefined; readonly to?: string | undefined; readonly granularity: AnalyticsGranularity }, maxPoints?: number): Range => {
    const nowMs = now();
    return rangeOf(query, { nowMs, oldestMs: cutoffsOf(retention, nowMs)[query.granularity], ...(maxPoints !== undefined && { maxPoints }) });
  };
  route(router, analyticsSummary, async ({ query }) => {
    const wanted = range(query);
    const fresh = await readFresh();
    const counts = [...(await readCounts(pool, wanted, fresh.sets)).values()];
    const totals = toBody((kind) => counts.reduce((sum, of) => sum + (of.get(kind) ?? 0), 0));
    const conversion = { view_to_cart: rate(totals.carts, totals.views), cart_to_purchase: rate(totals.purchases, totals.carts), view_to_purchase: rate(totals.purchases, totals.views) };
    return ok({ ...askedOf(wanted, fresh), totals, conversion } satisfies AnalyticsSummary);
  });
  route(router, analyticsSeries, async ({ query }) => {
    const wanted = range(query);
    const fresh = await readFresh();
    const isByDay = wanted.granularity === 'day';
    const [counts, users] = await Promise.all([readCounts(pool, wanted, fresh.sets), isByDay ? readUsers(pool, wanted) : new Map<number, number>()]);
    const data = granules(wanted).map((at) => {
      const of = counts.get(at) ?? NONE;
      return { at: toTime(at), ...toBody((kind) => of.get(kind) ?? 0), ...(isByDay && { users: users.get(at) ?? (of.size === 0 ? 0 : null) }) };
    });
    return ok({ ...askedOf(wanted, fresh), data } satisfies AnalyticsSeries);
  });
  route(router, topProducts, async ({ query }) => {
    const wanted = topRange(query.granularity);
    const fresh = await readFresh();
    return ok({ ...askedOf(wanted, fresh), data: [...(await readTopProducts(pool, wanted, { by: query.by, limit: query.limit, sets: fresh.sets }))] } satisfies AnalyticsProducts);

    /** Hours of products are kept as long as minutes. */
    function topRange(granularity: 'hour' | 'day'): Range {
      const nowMs = now();
      const cutoffs = cutoffsOf(retention, nowMs);
      return rangeOf(query, { nowMs, oldestMs: granularity === 'hour' ? cutoffs.minute : cutoffs.day, maxPoints: granularity === 'hour' ? MAX_TOP_DAYS * 24 : MAX_TOP_DAYS });
    }
  });
  route(router, recountAnalytics, async ({ body }) => {
    const { from, to, added, removed } = await recount(body);
    return ok({ from: toTime(from), to: toTime(to), added, removed });
  });
  return router;
}
