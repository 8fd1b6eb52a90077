import { eraseSubscribersOperation } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { AppError } from '@millrace/service';
import { ErasureSecretError, eraseSubscribers, parseIsdn } from '@millrace/subscribers';
import type { ErasureReport, Stores } from '@millrace/subscribers';
import { Router } from 'express';
import type { ErasedSubscribers } from './erased-subscribers.ts';

export interface EraseRoutesDeps {
  /** Direct, for the lock of loads; Redis as `background`. */
  readonly stores: Stores;
  readonly erased: ErasedSubscribers;
}

/** A load takes longer: then housekeeping finishes what was recorded. */
const WAIT_MS = 5_000;

function requireIsdns(texts: readonly string[]): string[] {
  const details = texts.flatMap((text, at) => (parseIsdn(text) === undefined ? [{ in: 'body' as const, pointer: `/isdns/${at}`, detail: 'must be a Vietnamese mobile number (0912345678, +84912345678) or a token of 8 to 128 characters without spaces' }] : []));
  if (details.length > 0) throw new AppError('invalid_request', `${details.length} of ${texts.length} ISDNs cannot be read: nothing was changed`, { details: details.slice(0, 20) });
  return texts.flatMap((text) => parseIsdn(text) ?? []);
}

/** `POST /api/ut360/erase`. */
export function eraseRoutes({ stores, erased }: EraseRoutesDeps): Router {
  const router = Router();
  // One after the other: each may wait for the lock with a connection in its hand.
  let last: Promise<unknown> = Promise.resolve();
  const erase = async (isdns: readonly string[]): Promise<ErasureReport> => {
    const report = await eraseSubscribers(stores, isdns, { waitMs: WAIT_MS, name: 'ut360-lookup' });
    await erased.refresh();
    return report;
  };
  route(router, eraseSubscribersOperation, async ({ body }) => {
    const isdns = requireIsdns(body.isdns);
    if (stores.erasureSecret === undefined) throw new AppError('not_implemented', 'nobody can be erased here: set UT360_ERASURE_SECRET of ut360-lookup and of whoever loads');
    const turn = last.then(() => erase(isdns));
    last = turn.catch(() => undefined);
    return ok(await turn.catch((error: unknown) => {
      const detail = error instanceof ErasureSecretError ? error.message : 'subscribers cannot be erased now: send the same again';
      throw new AppError('unavailable', detail, { cause: error, headers: { 'Retry-After': '2' } });
    }));
  });
  return router;
}
