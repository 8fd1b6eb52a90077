import type { RebuildReason } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { ReadExport } from './export-reader.ts';
import type { Lane } from './lane.ts';
import type { RebuildJob, RebuildStore } from './rebuild-job.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { createRebuildMetrics } from './rebuild-metrics.ts';
import { RebuildCancelledError, RebuildRefusedError, runRebuild } from './rebuild-run.ts';
import type { VersionSource } from './version-source.ts';

export interface RebuildsDeps {
  readonly journal: RebuildJournal;
  readonly store: RebuildStore;
  readonly readExport: ReadExport;
  readonly source: VersionSource;
  readonly lane: Lane;
  readonly logger: Logger;
  readonly metrics?: Registry;
  /** Under the leader lock: `work` is called with it, or undefined is answered. */
  readonly asLeader: <T>(work: (lost: AbortSignal) => Promise<T>) => Promise<{ readonly result: T } | undefined>;
  readonly batchSize: number;
  /** How often each instance looks for a job, and whether one is due. */
  readonly everyMs: number;
  /** How long the one before the swap stays for a rollback. */
  readonly keepHours: number;
}

/** Taken up so often without coming any further, it has failed. */
const MAX_ATTEMPTS = 10;
/** Longest pause between attempts; shorter where readers have nothing. */
const MAX_RETRY_DELAY_MS = { urgent: 5_000, otherwise: 30_000 };
const HOUR_MS = 3_600_000;
/** A job that failed by itself is not begun again at once; where readers have nothing, soon. */
const AGAIN_AFTER_MS = { urgent: 10_000, otherwise: 600_000 };
const isUrgent = (reason: RebuildReason): boolean => reason === 'first' || reason === 'repair';

const TIDY_EVERY_MS = 60_000;
/** One of so many failed looks in a row is logged. */
const LOGGED_FAILURES = 60;

export interface RebuildLoop {
  /** The target that live changes must go into too; as of `everyMs` ago at most. */
  readonly building: () => string | undefined;
  /** Looks now: adds a job where one is due, and works on an unfinished one unless another instance does. Rejects with nothing: what fails is logged and tried again. */
  readonly look: () => Promise<void>;
  /** Stops looking and waits until a job in hand has stopped where it can be taken up again. */
  readonly close: () => Promise<void>;
}

/** Nothing is rebuilt by itself for as long as an operator's rollback or cancellation is fresh, nor soon after a failure; without a live one nobody is asked. */
async function isHeld({ journal, keepHours }: RebuildsDeps, reason: RebuildReason): Promise<boolean> {
  const last = await journal.findLastFinished();
  if (last?.phase === 'failed' && (await journal.msSince(last.id)) < (isUrgent(reason) ? AGAIN_AFTER_MS.urgent : AGAIN_AFTER_MS.otherwise)) return true;
  const decided = isUrgent(reason) ? undefined : await journal.findLastDecided();
  if (!decided || (decided.reason !== 'rollback' && decided.phase !== 'cancelled')) return false;
  return (await journal.msSince(decided.id)) < keepHours * HOUR_MS;
}

async function addDue(deps: RebuildsDeps): Promise<RebuildJob | undefined> {
  const { journal, store, logger } = deps;
  const reason = await store.due();
  if (reason === undefined || (await isHeld(deps, reason))) return undefined;
  const job = await journal.add({ reason });
  if (job) logger.info({ id: job.id, reason, store: store.name }, 'rebuild is due');
  return job;
}

/** Removes what is kept no longer. */
/** Each is as large as the live one. */
const KEPT_AT_MOST = 2;

async function tidy({ journal, store, asLeader }: RebuildsDeps): Promise<void> {
  await asLeader(async () => {
    if (await journal.findRunning()) return; // one that is being made is in no row yet
    await journal.keepLast(KEPT_AT_MOST);
    await store.dropOthers(await journal.kept());
    await journal.prune();
  });
}

/** It says itself when there is use in trying again: whoever waits for it, for a quota say, has not failed. */
const waitOf = (error: unknown): number | undefined =>
  typeof error === 'object' && error !== null && 'retryAfterMs' in error && typeof error.retryAfterMs === 'number' ? error.retryAfterMs : undefined;
const MAX_WAIT_MS = 60_000;

/** After a failure: finishes the job and removes what it built, or leaves it to another try. Answers when that may be, in ms; undefined: it is finished. */
async function endOrRetry({ journal, store, logger, everyMs }: RebuildsDeps, taken: RebuildJob, error: unknown): Promise<number | undefined> {
  const reason = error instanceof Error ? error.message : 'failed';
  const { attempts, phase } = (await journal.find(taken.id)) ?? taken;
  const isCancelled = error instanceof RebuildCancelledError;
  const waitMs = waitOf(error);
  if (waitMs !== undefined) {
    await journal.save(taken, { error: reason, attempts: 0 });
    logger.warn({ err: error, id: taken.id, store: store.name }, 'a rebuild waits, it goes on by itself');
    return Math.min(Math.max(waitMs, everyMs), MAX_WAIT_MS);
  }
  if (!isCancelled && !(error instanceof RebuildRefusedError) && (attempts < MAX_ATTEMPTS || phase === 'swapped')) {
    await journal.save(taken, { error: reason });
    logger.warn({ err: error, id: taken.id, store: store.name, attempts }, 'a rebuild has trouble, it is tried again');
    return Math.min(everyMs * 2 ** attempts, isUrgent(taken.reason) ? MAX_RETRY_DELAY_MS.urgent : MAX_RETRY_DELAY_MS.otherwise);
  }
  const ended = await journal.finish(taken, isCancelled ? { phase: 'cancelled' } : { phase: 'failed', error: reason });
  if (isCancelled) logger.info({ id: taken.id, store: store.name }, 'rebuild cancelled');
  else logger.error({ err: error, id: taken.id, store: store.name }, 'rebuild failed, the live one goes on');
  // What a rollback would have brought back stays for another try.
  if (ended.target !== null && ended.reason !== 'rollback' && ended.target !== (await store.live())) await store.drop(ended.target);
  return undefined;
}

/** Looks for jobs on every instance of the worker; one of them works at a time. */
export function createRebuildLoop(deps: RebuildsDeps): RebuildLoop {
  const { journal, store, logger, everyMs } = deps;
  const stopping = new AbortController();
  const metrics = createRebuildMetrics(deps.metrics, store.name);
  let building: string | undefined;
  let [tidyAtMs, retryAtMs, failures] = [0, 0, 0];
  let running: Promise<void> | undefined;

  /** Works on the job until it ends, fails, or must be left to another try. */
  const work = async (job: RebuildJob, lost: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stopping.signal, lost]);
    const taken = await journal.take(job.id);
    logger.info({ id: job.id, store: store.name, reason: job.reason, phase: job.phase, attempts: taken.attempts }, 'rebuild taken up');
    const onTrouble = (err: unknown): void => logger.warn({ err, id: job.id, store: store.name }, 'a rebuild has trouble, it is tried again');
    try {
      const done = await runRebuild({ ...deps, announceMs: isUrgent(job.reason) ? 0 : 2 * everyMs, building: (target) => void (building = target), onTrouble }, taken, signal);
      logger.info({ id: done.id, store: store.name, target: done.target, rows: done.rows }, 'rebuild done');
    } catch (error) {
      if (signal.aborted) return;
      const again = await endOrRetry(deps, taken, error);
      if (again !== undefined) retryAtMs = performance.now() + again;
    }
  };
  const lookOnce = async (): Promise<void> => {
    const job = (await journal.findRunning()) ?? (await addDue(deps));
    metrics(job ?? (await journal.findLastFinished()));
    building = job?.target ?? undefined;
    if (!job) {
      if (performance.now() < tidyAtMs) return;
      await tidy(deps);
      tidyAtMs = performance.now() + TIDY_EVERY_MS;
      return;
    }
    if (performance.now() < retryAtMs && !job.cancelRequested) return;
    await deps.asLeader(async (lost) => {
      const current = await journal.findRunning();
      if (current) await work(current, lost);
    });
    const after = await journal.findRunning();
    building = after?.target ?? undefined;
    if (!after) [tidyAtMs, retryAtMs] = [0, 0];
  };
  const onFailure = (err: unknown): void => {
    if (!stopping.signal.aborted && failures++ % LOGGED_FAILURES === 0) logger.warn({ err, store: store.name }, 'rebuilds could not be looked at, it is tried again');
  };
  const look = (): Promise<void> => (running ??= lookOnce().then(() => void (failures = 0), onFailure).finally(() => (running = undefined)));
  const timers = [
    setInterval(() => void look(), everyMs),
    setInterval(() => void journal.findRunning().then((job) => job && metrics(job), () => undefined), Math.max(everyMs, 1_000)),
  ];
  return {
    building: () => building,
    look,
    close: async () => {
      timers.forEach((timer) => clearInterval(timer));
      stopping.abort(new Error('the worker stops'));
      await running;
    },
  };
}
