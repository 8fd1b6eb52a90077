import { setTimeout as delay } from 'node:timers/promises';
import { syncPos } from '@millrace/contracts';
import type { PosRun } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import type { OpenKiotviet } from '@millrace/kiotviet';
import { AppError } from '@millrace/service';
import type { ErrorCode } from '@millrace/service';
import { Router } from 'express';
import type { Pool } from 'pg';
import { connected } from './connected.ts';
import { findLastRun, findRun, requestRun } from './run.repository.ts';
import { differ } from './synchronise.ts';
import type { TakeOverDeps } from './take-over.ts';
import type { Worker } from './worker.ts';

export interface SyncRoutesDeps {
  readonly pos: OpenKiotviet | undefined;
  readonly takeOver: TakeOverDeps;
  readonly worker: Worker | undefined;
}

const LOOK_MS = 50;
const hasEnded = ({ state }: PosRun): boolean => state === 'done' || state === 'failed';

/** The codes that a run can fail with and a caller can be told; anything else was a bug of ours and is logged where it happened. */
const TOLD: ReadonlySet<string> = new Set(['pos_unavailable', 'pos_timeout', 'pos_unauthorized', 'pos_refused', 'pos_bad_answer', 'pos_quota', 'upstream_unavailable', 'unavailable', 'conflict'] satisfies ErrorCode[]);
const isTold = (code: string): code is ErrorCode => TOLD.has(code);

async function untilEnded(pool: Pool, first: PosRun, waitMs: number): Promise<PosRun> {
  const deadline = performance.now() + waitMs;
  for (let run = first; ; await delay(LOOK_MS)) {
    run = (await findRun(pool, first.id)) ?? run;
    if (hasEnded(run) || performance.now() >= deadline) return run;
  }
}

/** POST /api/pos/sync: asks for a run, which any instance does, and waits for its end. */
export function syncRoutes({ pos, takeOver, worker }: SyncRoutesDeps): Router {
  const router = Router();
  const { pool } = takeOver;
  let isComparing = false;
  /** Reads as much as a run does, and takes it from the same hour of calls: one at a time. */
  const compare = async (kiotviet: OpenKiotviet['kiotviet'], isFull: boolean): Promise<Reply> => {
    if (isComparing) throw new AppError('conflict', 'another dry run is not done yet at this instance: try again later', { headers: { 'Retry-After': '10' } });
    isComparing = true;
    try {
      return ok(await differ({ ...takeOver, kiotviet }, isFull));
    } finally {
      isComparing = false;
    }
  };
  route(router, syncPos, async ({ query, identity }) => {
    const { kiotviet } = connected(pos);
    if (query.dry_run) return compare(kiotviet, query.full);
    const asked = await requestRun(pool, identity.subject, query.full);
    if (!asked) {
      const going = await findLastRun(pool);
      throw new AppError('conflict', `run ${going?.id ?? ''} is not done yet: GET /api/pos/status shows it`, { headers: { 'Retry-After': '5' } });
    }
    void worker?.check();
    const run = await untilEnded(pool, asked, query.wait_seconds * 1_000);
    if (run.state === 'failed' && run.error && isTold(run.error.code)) throw new AppError(run.error.code, `${run.error.detail}; what was taken over until then stays (run ${run.id})`);
    return { status: hasEnded(run) ? 200 : 202, body: { dry_run: false, run } };
  });
  return router;
}
