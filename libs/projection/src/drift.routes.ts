import { internalVerifyBody } from '@millrace/contracts';
import type { VerificationBody } from '@millrace/contracts';
import { parsePart, requireScope } from '@millrace/http';
import { AppError } from '@millrace/service';
import express, { Router } from 'express';
import type { Reconciler, Verification } from './reconcile.ts';

export interface DriftRoutesDeps {
  readonly reconciler: Reconciler;
  /** The last verification of any instance. */
  readonly last: () => Promise<Verification | undefined>;
}

export const toVerificationBody = ({ startedAt, finishedAt, found, inFlight, examples, ...same }: Verification): VerificationBody => ({
  ...same, started_at: startedAt, finished_at: finishedAt, missing: found.missing, behind: found.behind, ghosts: found.ghost, ahead: found.ahead, in_flight: inFlight,
  examples: examples.map(({ sku, kind, wanted, stored }) => ({ sku, kind, wanted: wanted ?? null, stored: stored ?? null })),
});

/** `GET /internal/drift`: what the last verification found. `POST /internal/verify` {repair}: verifies now. Mount behind `authenticate`. */
export function driftRoutes({ reconciler, last }: DriftRoutesDeps): Router {
  const router = Router();
  router.get('/drift', requireScope('ops'), async (_req, res) => {
    const verification = await last();
    res.json({ verification: verification ? toVerificationBody(verification) : null });
  });
  router.post('/verify', requireScope('ops'), express.json(), async (req, res) => {
    const { repair } = parsePart(internalVerifyBody, req.body, 'body');
    const done = await reconciler.run({ repair });
    if (done === 'busy') throw new AppError('conflict', 'a verification of this store is running: look at GET /api/admin/drift in a moment');
    if (done === 'absent') throw new AppError('conflict', 'this store has no live index yet: it is being built');
    res.json({ verification: toVerificationBody(done) });
  });
  return router;
}
