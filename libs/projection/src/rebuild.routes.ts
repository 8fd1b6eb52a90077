import { internalRebuilds } from '@millrace/contracts';
import type { Rebuild, RebuildStoreName } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import { etaSeconds } from './rate.ts';
import type { RebuildJob } from './rebuild-job.ts';
import type { Rebuilds } from './rebuilds.ts';

/** As the API shows it. */
export const toRebuild = (store: RebuildStoreName, job: RebuildJob): Rebuild => ({
  id: `${store}-${job.id}`, store, reason: job.reason, phase: job.phase, target: job.target, previous: job.previous, rows: job.rows, total: job.total,
  rows_per_second: job.rowsPerSecond === null ? null : Math.round(job.rowsPerSecond), eta_seconds: job.phase === 'filling' ? etaSeconds(job) : null, attempts: job.attempts,
  started_at: job.startedAt, updated_at: job.updatedAt, finished_at: job.finishedAt, error: job.error, checks: [...job.checks], kept_until: job.keptUntil,
});

const numberOf = (id: string): number => Number(id.slice(id.lastIndexOf('-') + 1));

/** `/internal/rebuilds` of the worker that owns the store; the caller must be let in before. */
export function rebuildRoutes(store: RebuildStoreName, rebuilds: Rebuilds): Router {
  const router = Router();
  const toBody = (job: RebuildJob): Rebuild => toRebuild(store, job);
  route(router, internalRebuilds.list, async ({ query }) => ok({ data: (await rebuilds.list(query.limit)).map(toBody) }));
  route(router, internalRebuilds.start, async ({ body }) => ({ status: 202, body: toBody(await rebuilds.request(body)) }));
  route(router, internalRebuilds.get, async ({ params }) => ok(toBody(await rebuilds.get(numberOf(params.id)))));
  route(router, internalRebuilds.cancel, async ({ params }) => ({ status: 202, body: toBody(await rebuilds.cancel(numberOf(params.id))) }));
  route(router, internalRebuilds.rollback, async ({ params }) => ({ status: 202, body: toBody(await rebuilds.rollback(numberOf(params.id))) }));
  return router;
}
