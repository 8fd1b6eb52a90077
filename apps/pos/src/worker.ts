import { withLease } from '@millrace/redis-kit';
import type { Lease, LeaseKeys, Redis } from '@millrace/redis-kit';
import { LeaseLostError } from '@millrace/redis-kit';
import { AppError, every } from '@millrace/service';
import { LateWriterError } from './catalogue.ts';
import { followHints } from './follow-hints.ts';
import type { FollowDeps } from './follow-hints.ts';
import type { PosMetrics } from './metrics.ts';
import { dropHintsBefore, purgeNotifications } from './notification.repository.ts';
import { endRun, findRun, findWork, requestRun, takeRun } from './run.repository.ts';
import type { OpenRun } from './run.repository.ts';
import { synchronise } from './synchronise.ts';

export interface WorkerDeps extends FollowDeps {
  readonly redis: Redis;
  readonly leaseKeys: LeaseKeys;
  readonly leaseMs: number;
  readonly intervalMs: number;
  readonly checkMs: number;
  readonly metrics: PosMetrics;
}

export interface Worker {
  /** Looks for work now; one at a time. Never rejects. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** So many products are read by pages rather than one by one. */
const MANY_HINTS = 200;
const BY_NOTIFICATIONS = 'notifications';

const isLost = (error: unknown): boolean => error instanceof LateWriterError || error instanceof LeaseLostError;

/** The signal aborts where the lease is lost, and where the service is stopped. */
type Hold = Pick<Lease, 'fencingNumber' | 'signal'>;

async function doRun(deps: WorkerDeps, run: OpenRun, lease: Hold): Promise<void> {
  const { pool, logger, metrics } = deps;
  let failure: unknown;
  try {
    await synchronise(deps, run, lease);
  } catch (error) {
    // Whoever has the lease next goes on with it.
    if (isLost(error) || lease.signal.aborted) throw error;
    failure = error;
  }
  const error = failure === undefined ? null : failure instanceof AppError ? { code: failure.code, detail: failure.message } : { code: 'internal', detail: 'something went wrong on our side' };
  await endRun(pool, lease.fencingNumber, run.id, error);
  const ended = await findRun(pool, run.id);
  // Others are followed one by one: they may know of more than the lists tell.
  if (failure === undefined && ended?.requested_by === BY_NOTIFICATIONS) await dropHintsBefore(pool, run.id);
  metrics.ran(error === null ? 'done' : 'failed', ended?.counts);
  const fields = { run: run.id, ...ended?.counts, problems: ended?.problems.length };
  if (failure === undefined) logger.info(fields, 'took over the changes of the point of sale');
  else if (failure instanceof AppError) logger.warn({ ...fields, code: failure.code, reason: failure.message }, 'the changes of the point of sale could not be taken over to the end');
  else logger.error({ ...fields, err: failure }, 'the changes of the point of sale could not be taken over to the end');
}

async function work(deps: WorkerDeps, lease: Hold): Promise<void> {
  const { pool, intervalMs } = deps;
  const found = await findWork(pool, intervalMs);
  if (!found.isRunOpen && found.isRunDue) await requestRun(pool, 'schedule', false);
  else if (!found.isRunOpen && found.dueHints > MANY_HINTS && !found.hasJustFailed) await requestRun(pool, BY_NOTIFICATIONS, false);
  const run = await takeRun(pool, lease.fencingNumber);
  if (run) await doRun(deps, run, lease);
  while (!lease.signal.aborted && (await followHints(deps, lease))) {
    // More came meanwhile: the next look makes a run of them.
    const { dueHints, hasJustFailed } = await findWork(pool, intervalMs);
    if (dueHints > MANY_HINTS && !hasJustFailed) return;
  }
}

/**
 * Runs and notifications, by one of all instances at a time. What there is to do is in Postgres, so whatever was broken off (kill -9, a lost lease) is found
 * again by whoever looks next. A holder that stood still past its lease writes nothing any more: its number is refused here and by the catalogue.
 */
export function startWorker(deps: WorkerDeps): Worker {
  const { redis, leaseKeys, leaseMs, checkMs, pool, intervalMs, logger } = deps;
  let running: Promise<void> | undefined;
  const stopping = new AbortController();
  const look = async (): Promise<void> => {
    try {
      const { isRunOpen, isRunDue, dueHints } = await findWork(pool, intervalMs);
      if (stopping.signal.aborted || (!isRunOpen && !isRunDue && dueHints === 0)) return;
      await withLease({ redis, keys: leaseKeys, ttlMs: leaseMs }, ({ fencingNumber, signal }) => work(deps, { fencingNumber, signal: AbortSignal.any([signal, stopping.signal]) }));
    } catch (err) {
      if (stopping.signal.aborted) logger.info({}, 'the work of the point of sale is left to another instance, or to the next start');
      else if (isLost(err)) logger.warn({ err }, 'the work of the point of sale was taken over by another instance');
      else logger.warn({ err }, 'the work of the point of sale failed, it will be tried again');
    }
  };
  const check = (): Promise<void> => (running ??= look().finally(() => { running = undefined; }));
  const stop = every(checkMs, { what: 'point of sale', logger }, check);
  const stopPurge = every(3_600_000, { what: 'notifications', logger }, () => purgeNotifications(pool));
  return {
    check,
    async close() {
      stopping.abort(new Error('the service is stopped'));
      stop();
      stopPurge();
      await running;
    },
  };
}
