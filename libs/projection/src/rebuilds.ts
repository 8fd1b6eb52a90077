import { AppError, notFound } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { RebuildReason } from '@millrace/contracts';
import type { Registry } from 'prom-client';
import type { ReadExport } from './export-reader.ts';
import type { Lane } from './lane.ts';
import type { RebuildJob, RebuildStore } from './rebuild-job.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { createRebuildMetrics } from './rebuild-metrics.ts';
import type { VersionSource } from './version-source.ts';
import { RebuildCancelledError, RebuildRefusedError, runRebuild } from './rebuild-run.ts';

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

export interface Rebuilds {
  /** Adds a job. @throws AppError conflict where one is unfinished */
  readonly request: (options?: { readonly force?: boolean }) => Promise<RebuildJob>;
  readonly list: (limit: number) => Promise<readonly RebuildJob[]>;
  /** @throws AppError not_found */
  readonly get: (id: number) => Promise<RebuildJob>;
  /** @throws AppError not_found; conflict from the swap on */
  readonly cancel: (id: number) => Promise<RebuildJob>;
  /** Adds the job that makes the one before the swap live again, up to date. @throws AppError not_found, conflict */
  readonly rollback: (id: number) => Promise<RebuildJob>;
  /** The target that live changes must go into too; as of `everyMs` ago at most. */
  readonly building: () => string | undefined;
  /** Looks now: adds a job where one is due, and works on an unfinished one unless another instance does. Rejects with nothing: what fails is logged and tried again. */
  readonly look: () => Promise<void>;
  /** Stops looking and waits until a job in hand has stopped where it can be taken up again. */
  readonly close: () => Promise<void>;
}

/** Taken up so often without coming any further, it has failed. */
const MAX_ATTEMPTS = 10;
const MAX_RETRY_DELAY_MS = 30_000;
const HOUR_MS = 3_600_000;
/** A job that failed by itself is not begun again at once; where readers have nothing, soon. */
const AGAIN_AFTER_MS = { urgent: 10_000, otherwise: 600_000 };
const isUrgent = (reason: RebuildReason): boolean => reason === 'first' || reason === 'repair';

const TIDY_EVERY_MS = 60_000;

/** Rebuild jobs of one store, on every instance of its worker; one of them works at a time. */
export function createRebuilds(deps: RebuildsDeps): Rebuilds {
  const { journal, store, logger, everyMs, keepHours } = deps;
  const stopping = new AbortController();
  const metrics = createRebuildMetrics(deps.metrics, store.name);
  let building: string | undefined;
  let tidiedMs = -Infinity;
  let retryAtMs = 0;
  let running: Promise<void> | undefined;
  const onTrouble = (err: unknown): void => logger.warn({ err, store: store.name }, 'a rebuild has trouble, it is tried again');

  /** Works on the job until it ends, fails, or must be left to another try. */
  const work = async (job: RebuildJob, lost: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stopping.signal, lost]);
    const taken = await journal.take(job.id);
    logger.info({ id: job.id, reason: job.reason, phase: job.phase, attempts: taken.attempts }, 'rebuild taken up');
    try {
      if (taken.cancelRequested && taken.phase !== 'swapped') throw new RebuildCancelledError('it was cancelled');
      const done = await runRebuild({ ...deps, announceMs: isUrgent(job.reason) ? 0 : 2 * everyMs, building: (target) => void (building = target), onTrouble }, taken, signal);
      logger.info({ id: done.id, target: done.target, rows: done.rows }, 'rebuild done');
      retryAtMs = 0;
    } catch (error) {
      if (signal.aborted) return;
      await end(taken, error);
    }
  };
  const end = async (job: RebuildJob, error: unknown): Promise<void> => {
    const reason = error instanceof Error ? error.message : 'failed';
    const { attempts, phase } = (await journal.find(job.id)) ?? job;
    const isFinal = error instanceof RebuildCancelledError || error instanceof RebuildRefusedError || (attempts >= MAX_ATTEMPTS && phase !== 'swapped');
    if (!isFinal) {
      await journal.save(job, { error: reason });
      retryAtMs = performance.now() + Math.min(everyMs * 2 ** attempts, MAX_RETRY_DELAY_MS);
      onTrouble(error);
      return;
    }
    building = undefined;
    const ended = await journal.finish(job, error instanceof RebuildCancelledError ? { phase: 'cancelled' } : { phase: 'failed', error: reason });
    if (error instanceof RebuildCancelledError) logger.info({ id: job.id }, 'rebuild cancelled');
    else logger.error({ err: error, id: job.id, store: store.name }, 'rebuild failed, the live one goes on');
    // What a rollback would have brought back stays for another try.
    if (ended.target !== null && ended.reason !== 'rollback' && ended.target !== (await store.live())) await store.drop(ended.target);
  };

  /** Nothing is rebuilt by itself for as long as an operator's rollback or cancellation is fresh, nor soon after a failure; without a live one nobody is asked. */
  const isHeld = async (reason: RebuildReason): Promise<boolean> => {
    const last = await journal.findLastFinished();
    if (!last) return false;
    const ms = await journal.msSince(last.id);
    if (last.phase === 'failed') return ms < (isUrgent(reason) ? AGAIN_AFTER_MS.urgent : AGAIN_AFTER_MS.otherwise);
    if (isUrgent(reason)) return false;
    return (last.reason === 'rollback' || last.phase === 'cancelled') && ms < keepHours * HOUR_MS;
  };
  const addDue = async (): Promise<RebuildJob | undefined> => {
    const reason = await store.due();
    if (reason === undefined || (await isHeld(reason))) return undefined;
    const job = await journal.add({ reason });
    if (job) logger.info({ id: job.id, reason, store: store.name }, 'rebuild is due');
    return job;
  };
  const tidy = async (): Promise<void> => {
    if (performance.now() - tidiedMs < TIDY_EVERY_MS) return;
    await deps.asLeader(async () => {
      if (await journal.findRunning()) return; // one that is being made is in no row yet
      await store.dropOthers(await journal.kept());
      await journal.prune();
    });
    tidiedMs = performance.now();
  };
  const lookOnce = async (): Promise<void> => {
    const job = (await journal.findRunning()) ?? (await addDue());
    metrics(job ?? (await journal.findLastFinished()));
    building = job?.target ?? undefined;
    if (!job) return tidy();
    if (performance.now() < retryAtMs) return;
    await deps.asLeader(async (lost) => {
      const current = await journal.findRunning();
      if (current) await work(current, lost);
    });
    const after = await journal.findRunning();
    building = after?.target ?? undefined;
    if (!after) tidiedMs = -Infinity;
  };
  const look = (): Promise<void> =>
    (running ??= lookOnce()
      .catch((err: unknown) => {
        if (!stopping.signal.aborted) logger.warn({ err, store: store.name }, 'rebuilds could not be looked at, it is tried again');
      })
      .finally(() => (running = undefined)));
  const timer = setInterval(() => void look(), everyMs);
  const publish = setInterval(() => void journal.findRunning().then((job) => job && metrics(job), () => undefined), Math.max(everyMs, 1_000));

  return {
    request: async ({ force = false } = {}) => {
      const job = await journal.add({ reason: 'manual', force });
      if (!job) throw new AppError('conflict', await busy(journal, store));
      void look();
      return job;
    },
    list: (limit) => journal.list(limit),
    get: (id) => getJob(journal, store, id),
    cancel: async (id) => {
      const job = await getJob(journal, store, id);
      const marked = await journal.requestCancel(id);
      if (!marked) throw new AppError('conflict', job.finishedAt === null ? `${store.name}-${id} has swapped already: roll it back instead` : `${store.name}-${id} is ${(await getJob(journal, store, id)).phase} already`);
      void look();
      return marked;
    },
    rollback: async (id) => {
      const { previous, builtFrom } = await rollbackOf(journal, store, id);
      const job = await journal.add({ reason: 'rollback', existing: { target: previous, since: earlier(builtFrom, OVERLAP_MS) } });
      if (!job) throw new AppError('conflict', await busy(journal, store));
      void look();
      return job;
    },
    building: () => building,
    look,
    close: async () => {
      clearInterval(timer);
      clearInterval(publish);
      stopping.abort(new Error('the worker stops'));
      await running;
    },
  };
}

/** What was live followed the stream, which may have been late; what was later still, the validation finds. */
const OVERLAP_MS = 300_000;
const earlier = (timestamp: string, ms: number): string => new Date(Date.parse(timestamp) - ms).toISOString();

async function busy(journal: RebuildJournal, store: RebuildStore): Promise<string> {
  const job = await journal.findRunning();
  return job ? `${store.name}-${job.id} is running already: wait for it or cancel it` : 'a rebuild was running a moment ago: try again';
}

async function getJob(journal: RebuildJournal, { name }: RebuildStore, id: number): Promise<RebuildJob> {
  const job = await journal.find(id);
  if (!job) throw notFound(`the rebuild ${name}-${id}`);
  return job;
}

/** What a rollback of this job brings back. @throws AppError conflict with the reason why it cannot */
async function rollbackOf(journal: RebuildJournal, store: RebuildStore, id: number): Promise<{ readonly previous: string; readonly builtFrom: string }> {
  const job = await getJob(journal, store, id);
  const refuse = (why: string): AppError => new AppError('conflict', why);
  const itself = `${store.name}-${id}`;
  if (job.finishedAt === null) throw refuse(`${itself} is running: cancel it instead`);
  if (job.phase !== 'done') throw refuse(`${itself} is ${job.phase}: it never went live`);
  if (job.target !== (await store.live())) throw refuse(`${job.target ?? itself} is not live any more: roll back the rebuild that came after ${itself}`);
  if (job.previous === null || job.builtFrom === null) throw refuse(`nothing was live before ${itself}`);
  if (!job.isKept || !(await store.isThere(job.previous))) throw refuse(`${job.previous} is kept no longer: start a rebuild`);
  return { previous: job.previous, builtFrom: job.builtFrom };
}
