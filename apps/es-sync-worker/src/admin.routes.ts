import { clearSync, getSync, startResync } from '@millrace/contracts';
import type { SyncStats } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { SearchAdmin } from '@millrace/search';
import { Router } from 'express';
import type { CompletedSweep } from './sweep.repository.ts';
import type { ResyncJob } from './resync-job.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface AdminRoutesDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'count'>;
  readonly tracker: SyncTracker;
  readonly job: ResyncJob;
  readonly findLastSweep: (index: string) => Promise<CompletedSweep | undefined>;
  readonly forgetSweeps: () => Promise<void>;
}

/** `GET|DELETE /api/admin/sync`, `POST /api/admin/resync`. */
export function adminRoutes({ admin, tracker, job, findLastSweep, forgetSweeps }: AdminRoutesDeps): Router {
  const router = Router();
  const liveIndex = (): Promise<string | undefined> => admin.liveIndex().catch(() => undefined);
  route(router, getSync, async () => {
    const index = await liveIndex();
    const [tracked, documents, last] = await Promise.all([
      tracker.stats(index ?? ''),
      index === undefined ? null : admin.count(index).catch(() => null),
      index === undefined ? undefined : findLastSweep(index),
    ]);
    const lastSweep = last ? { started_at: last.startedAt, finished_at: last.finishedAt, seen: last.seen, indexed: last.indexed } : null;
    return ok({ index: index ?? null, ...tracked, documents, last_sweep: lastSweep, resync: job.state() } satisfies SyncStats);
  });
  route(router, clearSync, async () => {
    const index = await liveIndex();
    const cleared = index === undefined ? 0 : await tracker.clear(index);
    await forgetSweeps();
    return ok({ cleared });
  });
  route(router, startResync, async () => ({ status: 202, body: { started: await job.start() } }));
  return router;
}
