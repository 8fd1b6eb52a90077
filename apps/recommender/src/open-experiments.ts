import { withMetrics, withTracing } from '@millrace/bus';
import type { EventSubscriber } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Router } from 'express';
import type { Registry } from 'prom-client';
import type { RecsDb } from './database.ts';
import { usersOfInteraction, withoutErased } from './erase-users.ts';
import type { ErasedUsers } from './erase-users.ts';
import { countForExperiments, keepExperimentLog } from './experiment-log.ts';
import { listExperiments, readExperimentRevision } from './experiment.repository.ts';
import { experimentRoutes } from './experiment.routes.ts';
import { openLiveExperiments } from './live-experiments.ts';
import type { Assigned } from './live-experiments.ts';

export interface OpenExperimentsDeps {
  readonly db: RecsDb;
  readonly locking: RecsDb;
  readonly bus: EventSubscriber;
  readonly erased: ErasedUsers;
  /** How long lists, clicks and purchases are kept, days. */
  readonly keepDays: number;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly onClose: (step: () => Promise<void>) => void;
}

const LABELS = { topic: interactions.name, group: 'recommender-experiments' };

/** Experiments of this instance: what is in force, what counts in them, and their routes. */
export async function openExperiments({ db, locking, bus, erased, keepDays, logger, metrics, onClose }: OpenExperimentsDeps): Promise<{ readonly assign: (userId: string | undefined) => Assigned; readonly routes: Router }> {
  const live = await openLiveExperiments({ readRevision: () => readExperimentRevision(db), readAll: () => listExperiments(db), now: Date.now, logger });
  onClose(() => live.close());
  const stop = every(600_000, { what: 'experiment log', logger }, () => keepExperimentLog(db, keepDays));
  await bus.subscribe(interactions, { group: LABELS.group, batchSize: 500 }, withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })(withoutErased(erased, usersOfInteraction, metrics)(countForExperiments({ live, erased })))));
  onClose(async () => stop());
  return { assign: (userId) => live.assign(userId), routes: experimentRoutes({ db, locking, live, now: Date.now }) };
}
