import type { Logger } from '@millrace/service';
import type { Router } from 'express';
import type { QueryExecutorProvider } from 'kysely';
import { driftRoutes } from './drift.routes.ts';
import { reconcileRegularly } from './reconcile-regularly.ts';
import { createReconciler } from './reconcile.ts';
import type { ReconcilerDeps } from './reconcile.ts';
import { createSettle } from './settle.ts';
import { findVerification, recordVerification } from './verification-table.ts';

export interface VerificationDeps extends Omit<ReconcilerDeps, 'record' | 'settle' | 'logger'> {
  readonly db: QueryExecutorProvider;
  /** Postgres schema with the table of `createVerificationTable`. */
  readonly schema: string;
  /** The consumer group's backlog. */
  readonly lag: () => Promise<{ readonly messages: number; readonly oldestAgeMs: number }>;
  readonly config: { readonly RECONCILE_INTERVAL_MS: number; readonly RECONCILE_SETTLE_MS: number };
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

export interface StoreVerification {
  /** `GET /drift`, `POST /verify`: mount under /internal, behind `authenticate`. */
  readonly routes: Router;
  /** Begins to compare and mend by itself. Returns the function that stops it. */
  start(): () => Promise<void>;
}

/** From a commit to the stream, with room to spare. */
const GRACE_MS = 1_000;

/** The verification of one store of a service: on demand, and regularly on one instance for all; its last result is kept in Postgres. */
export function createVerification({ db, schema, lag, config, ...deps }: VerificationDeps): StoreVerification {
  const reconciler = createReconciler({ ...deps, settle: createSettle({ lag, graceMs: GRACE_MS, maxMs: config.RECONCILE_SETTLE_MS }), record: (done) => recordVerification(db, schema, done) });
  const last = () => findVerification(db, schema);
  return {
    routes: driftRoutes({ reconciler, last }),
    start: () => reconcileRegularly({ reconciler, last, everyMs: config.RECONCILE_INTERVAL_MS, logger: deps.logger }),
  };
}
