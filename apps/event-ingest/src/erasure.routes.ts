import { eraseUser, getErasure } from '@millrace/contracts';
import type { ErasureBody } from '@millrace/contracts';
import { inTransaction } from '@millrace/database';
import { ok, route } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import { Router } from 'express';
import type { Pool } from 'pg';
import type { ErasedUsers } from './erased-users.ts';
import { findErasureJob, recordErasure } from './erasure.repository.ts';

export interface ErasureRoutesDeps {
  readonly pool: Pool;
  /** Recording an erasure waits for merges, erasures and writers. */
  readonly locking: Pool;
  readonly erased: ErasedUsers;
  /** A job was recorded. */
  readonly wake: () => void;
}

/** `DELETE /api/users/{id}`, `GET /api/admin/erasures/{job}`. */
export function erasureRoutes({ pool, locking, erased, wake }: ErasureRoutesDeps): Router {
  const router = Router();
  const show = async (job: string): Promise<ErasureBody> => {
    const found = await findErasureJob(pool, job);
    if (!found) throw notFound(`erasure ${job}`);
    return found;
  };
  const inPostgres = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw error instanceof AppError ? error : new AppError('unavailable', 'Postgres cannot be used now: nothing was changed, send the same again', { cause: error, headers: { 'Retry-After': '1' } });
    });
  route(router, eraseUser, async ({ params }) => {
    const { hmac } = erased;
    if (!hmac) throw new AppError('not_implemented', 'nobody can be erased here: set USER_ERASURE_SECRET of event-ingest and recommender');
    const job = await inPostgres(inTransaction(locking, (client) => recordErasure(client, hmac, params.id)));
    await inPostgres(erased.refresh());
    wake();
    return { status: 202, body: await inPostgres(show(job)), headers: { Location: `/api/admin/erasures/${job}` } };
  });
  route(router, getErasure, async ({ params }) => ok(await inPostgres(show(params.job))));
  return router;
}
