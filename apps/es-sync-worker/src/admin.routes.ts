import { clearSync, getSync, startResync } from '@millrace/contracts';
import type { SyncStats } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { RebuildJob, Rebuilds } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { CompletedSweep } from './sweep.repository.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface AdminRoutesDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'count'>;
  readonly tracker: SyncTracker;
  readonly rebuilds: Pick<Rebuilds, 'request' | 'list'>;
  readonly findLastSweep: (index: string) => Promise<CompletedSweep | undefined>;
  readonly forgetSweeps: () => Promise<void>;
}

/** The latest rebuild in the words of the sync's statistics. */
const toResync = (job: RebuildJob | undefined): SyncStats['resync'] => ({ running: job?.finishedAt === null, index: job?.target ?? null, done: job?.rows ?? 0, error: job?.finishedAt == null ? null : job.error });

/** `GET|DELETE /api/admin/sync`, `POST /api/admin/resync`. */
export function adminRoutes({ admin, tracker, rebuilds, findLastSweep, forgetSweeps }: AdminRoutesDeps): Router {
  const router = Router();
  const liveIndex = (): Promise<string | undefined> => admin.liveIndex().catch(() => undefined);
  route(router, getSync, async () => {
    const index = await liveIndex();
    const [tracked, documents, last, [latest]] = await Promise.all([
      tracker.stats(index ?? ''),
      index === undefined ? null : admin.count(index).catch(() => null),
      index === undefined ? undefined : findLastSweep(index),
      rebuilds.list(1),
    ]);
    const lastSweep = last ? { started_at: last.startedAt, finished_at: last.finishedAt, seen: last.seen, indexed: last.indexed } : null;
    return ok({ index: index ?? null, ...tracked, documents, last_sweep: lastSweep, resync: toResync(latest) } satisfies SyncStats);
  });
  route(router, clearSync, async () => {
    const index = await liveIndex();
    const cleared = index === undefined ? 0 : await tracker.clear(index);
    await forgetSweeps();
    return ok({ cleared });
  });
  route(router, startResync, async () => {
    const started = await rebuilds.request().then(() => true, (error: unknown) => {
      if (error instanceof AppError && error.code === 'conflict') return false;
      throw error;
    });
    return { status: 202, body: { started } };
  });
  return router;
}
