import { readContext } from '@millrace/context';
import type { RecentItem } from '@millrace/context';
import { getUserContext, mergeUser } from '@millrace/contracts';
import type { UserContextBody } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import { mergeUsers } from './merge-users.ts';
import type { MergeUsersDeps } from './merge-users.ts';

const toTime = (at: number): string => new Date(at).toISOString();
const toItem = ({ asin, at }: RecentItem): { asin: string; at: string } => ({ asin, at: toTime(at) });

/** `GET /api/users/{id}/context`, `POST /api/users/{id}/merge`. */
export function userRoutes(deps: MergeUsersDeps): Router {
  const router = Router();
  route(router, getUserContext, async ({ params }) => {
    const context = await readContext(deps.redis, deps.keys, params.id).catch((error: unknown) => {
      throw new AppError('unavailable', 'the live context cannot be read now', { cause: error, headers: { 'Retry-After': '1' } });
    });
    return ok({
      user_id: context.userId, recent_items: context.recentItems.map(toItem), recent_purchases: context.recentPurchases.map(toItem),
      recent_categories: Object.fromEntries(context.recentCategories), last_active: context.lastActive === undefined ? null : toTime(context.lastActive),
    } satisfies UserContextBody);
  });
  route(router, mergeUser, async ({ params, body }) => {
    const { userId, moved } = await mergeUsers(deps, body.from, params.id);
    return ok({ user_id: userId, from: body.from, moved });
  });
  return router;
}
