import * as contracts from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { RecsDb, RecsTrx } from './database.ts';
import { countVariants, resultsOf } from './experiment-results.ts';
import * as experiments from './experiment.repository.ts';
import type { LiveExperiments } from './live-experiments.ts';

export interface ExperimentRoutesDeps {
  readonly db: RecsDb;
  /** On a pool of its own: changes wait for each other. */
  readonly locking: RecsDb;
  readonly live: Pick<LiveExperiments, 'refresh'>;
  readonly now: () => number;
}

/** `/api/admin/experiments`. A change is in force on this instance when it is answered; 503 where it is made and could not be read yet. */
export function experimentRoutes({ db, locking, live, now }: ExperimentRoutesDeps): Router {
  const router = Router();
  const change = async <T>(work: (trx: RecsTrx) => Promise<T>): Promise<T> => {
    const result = await experiments.changeExperiments(locking, work);
    // Once more: one that failed in passing.
    if ((await live.refresh()) || (await live.refresh())) return result;
    throw new AppError('unavailable', 'the change is made; this instance could not read it yet and follows within seconds', { headers: { 'Retry-After': '1' } });
  };
  route(router, contracts.listExperiments, async ({ query }) => ok({ data: await experiments.listExperiments(db, query.status) }));
  route(router, contracts.createExperiment, async ({ body }) => {
    const created = await change((trx) => experiments.insertExperiment(trx, body));
    return { status: 201, body: created, headers: { Location: `/api/admin/experiments/${created.key}` } };
  });
  route(router, contracts.getExperiment, async ({ params }) => ok(await experiments.getExperiment(db, params.key)));
  route(router, contracts.replaceExperiment, async ({ params, body }) => ok(await change((trx) => experiments.replaceExperiment(trx, params.key, body))));
  route(router, contracts.deleteExperiment, async ({ params }) => {
    await change((trx) => experiments.deleteExperiment(trx, params.key));
    return { status: 204 };
  });
  route(router, contracts.startExperiment, async ({ params }) => ok(await change((trx) => experiments.startExperiment(trx, params.key, new Date(now())))));
  route(router, contracts.stopExperiment, async ({ params }) => ok(await change((trx) => experiments.stopExperiment(trx, params.key, new Date(now())))));
  route(router, contracts.getExperimentResults, async ({ params }) => {
    const experiment = await experiments.getExperiment(db, params.key);
    return ok(resultsOf(experiment, await countVariants(db, experiment), new Date(now())));
  });
  return router;
}
