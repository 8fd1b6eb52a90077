import { setTimeout as delay } from 'node:timers/promises';
import { untilDone } from '@millrace/service';
import type { RebuildPhase } from '@millrace/contracts';
import type { ExportPosition, ProjectedChange, ReadExport } from './export-reader.ts';
import type { Lane } from './lane.ts';
import { createRate } from './rate.ts';
import type { RebuildJob, RebuildStore } from './rebuild-job.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { verifyTarget } from './verify-target.ts';
import type { VersionSource } from './version-source.ts';

export interface RunRebuildDeps {
  readonly journal: RebuildJournal;
  readonly store: RebuildStore;
  readonly readExport: ReadExport;
  /** What the target is compared with before the swap. */
  readonly source: VersionSource;
  readonly lane: Lane;
  readonly batchSize: number;
  /** From so long after the target was made on, every instance writes live changes into it too. */
  readonly announceMs: number;
  readonly keepHours: number;
  /** The target that live changes must go into too, from now on. */
  readonly building: (target: string) => void;
  /** Troubles after which it goes on by itself. */
  readonly onTrouble: (error: unknown) => void;
}

/** It was asked to stop before the swap. */
export class RebuildCancelledError extends Error {
  override readonly name = 'RebuildCancelledError';
}

/** It must not go live as it is; trying again by itself would come to the same. */
export class RebuildRefusedError extends Error {
  override readonly name = 'RebuildRefusedError';
}

/** Fewer changes than this since the last pass are left to the pass after the swap. */
const SMALL = 200;
const MAX_CATCH_UPS = 20;
/** Live changes may be on their way while it is compared: what differs is looked at again after another pass. */
const MAX_LOOKS = 3;

/**
 * Takes an unfinished job up where its row stands and brings it to its end. What was durable before a crash is not read again; a target
 * that is gone or outdated is begun anew. Rejects with what went wrong; the row then tells where to go on. One instance at a time.
 */
export async function runRebuild(deps: RunRebuildDeps, taken: RebuildJob, signal: AbortSignal): Promise<RebuildJob> {
  if (taken.cancelRequested && taken.phase !== 'swapped') throw new RebuildCancelledError('it was cancelled');
  let job = await withTarget(deps, taken, signal);
  for (;;) {
    signal.throwIfAborted();
    if (job.finishedAt !== null) return job;
    if (job.cancelRequested && job.phase !== 'swapped') throw new RebuildCancelledError('it was cancelled');
    job = await stepOf(job.phase)(deps, job, signal);
  }
}

type Step = (deps: RunRebuildDeps, job: RebuildJob, signal: AbortSignal) => Promise<RebuildJob>;

function stepOf(phase: RebuildPhase): Step {
  if (phase === 'filling') return fill;
  if (phase === 'catching_up') return catchUp;
  if (phase === 'validating') return validate;
  if (phase === 'swapped') return swapAndFinish;
  throw new Error(`a rebuild that is ${phase} has no next step`);
}

const targetOf = ({ target }: RebuildJob): string => {
  if (target === null) throw new Error('the rebuild has no target yet');
  return target;
};

/** Makes the target, or finds out whether the one of an earlier run can be gone on with. */
async function withTarget({ journal, store, source, building }: RunRebuildDeps, job: RebuildJob, signal: AbortSignal): Promise<RebuildJob> {
  const { target } = job;
  if (target !== null) {
    const canGoOn = job.phase === 'swapped' || job.reason === 'rollback' ? await store.isThere(target) : await store.canResume(target);
    if (!canGoOn && (job.phase === 'swapped' || job.reason === 'rollback')) throw new RebuildRefusedError(`${target} is not there any more`);
    if (canGoOn) {
      building(target);
      return job;
    }
    await store.drop(target);
  }
  const made = await store.create(signal);
  building(made);
  return journal.save(job, { target: made, phase: 'filling', checkpoint: {}, rows: 0, total: (await source.digests({}, 1, signal)).products, checks: [] });
}

/** Batches that are stored at once: while one waits for its acknowledgements, the next one is prepared. */
const IN_HAND = 2;

/** Reads one pass of the export into the target. The position behind a batch is saved once it and all before it are durable. */
async function pass({ journal, store, readExport, lane, batchSize }: RunRebuildDeps, job: RebuildJob, signal: AbortSignal): Promise<{ readonly watermark: string; readonly rows: number }> {
  const { since, after, watermark } = job.checkpoint;
  const rate = createRate();
  let total = job.rows;
  const fillBatch = (changes: readonly ProjectedChange[]): Promise<void> =>
    lane.backfill(changes, async (slice) => {
      signal.throwIfAborted();
      await store.fill(targetOf(job), slice);
    });
  const saveBehind = async (rows: number, behind: ExportPosition): Promise<void> => {
    total += rows;
    const { cancelRequested } = await journal.save(job, { checkpoint: { ...(since !== undefined && { since }), ...behind }, rows: total, rowsPerSecond: rate.add(rows) ?? null, attempts: 0, error: null });
    if (cancelRequested && job.phase !== 'swapped') throw new RebuildCancelledError('it was cancelled');
  };
  const inHand: Promise<void>[] = [];
  let saved = Promise.resolve();
  const onBatch = async (changes: readonly ProjectedChange[], behind: ExportPosition): Promise<void> => {
    const [filled, before] = [fillBatch(changes), saved];
    saved = Promise.all([filled, before]).then(() => saveBehind(changes.length, behind));
    saved.catch(() => undefined); // the awaits below tell
    inHand.push(saved);
    if (inHand.length >= IN_HAND) await inHand.shift();
  };
  const from = { ...(after !== undefined && { after }), ...(watermark !== undefined && { watermark }) };
  try {
    const done = await readExport({ batchSize, signal, from, ...(since !== undefined && { updatedSince: since }) }, onBatch);
    await saved;
    return done;
  } finally {
    await Promise.allSettled([...inHand, saved]); // no batch goes on behind the end of this pass
  }
}

const fill: Step = async (deps, job, signal) => {
  const { watermark } = await pass(deps, job, signal);
  return deps.journal.save(job, { phase: 'catching_up', checkpoint: { since: watermark }, builtFrom: watermark });
};

/** What changed since the pass before, until little is left and every instance writes into the target. */
const catchUp: Step = async (deps, job, signal) => {
  let current = job;
  for (let passes = 1; ; passes += 1) {
    const isAnnounced = (current.targetAgeMs ?? 0) >= deps.announceMs;
    const { watermark, rows } = await pass(deps, current, signal);
    const builtFrom = current.builtFrom ?? watermark; // a rollback's first pass is this one
    const isEnough = (rows < SMALL && isAnnounced) || passes >= MAX_CATCH_UPS;
    current = await deps.journal.save(job, { ...(isEnough && { phase: 'validating' }), checkpoint: { since: watermark }, builtFrom });
    if (isEnough || current.cancelRequested) return current;
    if (rows < SMALL) await delay(Math.max(0, deps.announceMs - (current.targetAgeMs ?? 0)), undefined, { signal });
  }
};

const validate: Step = async (deps, job, signal) => {
  const { journal, store, source } = deps;
  const target = targetOf(job);
  const live = await store.live();
  let current = job;
  const catchUpOnce = async (): Promise<void> => {
    const { watermark } = await pass(deps, current, signal);
    current = await journal.save(job, { checkpoint: { since: watermark } });
  };
  for (let looks = 1; ; looks += 1) {
    const compared = await verifyTarget({ source, target: store.versions(target), catchUp: catchUpOnce, fill: (changes) => store.fill(target, changes), signal });
    const golden = await store.ask(target, live, signal);
    current = await journal.save(job, { checks: [compared, ...golden], previous: live ?? null });
    // What an operator takes back was live before; the golden queries may be of what it does not know yet.
    const isGate = !job.force && job.reason !== 'rollback';
    const failed = [compared, ...(isGate ? golden : [])].filter(({ passed }) => !passed);
    if (failed.length === 0) break;
    if (looks >= MAX_LOOKS) throw new RebuildRefusedError(`it was not made live: ${failed.map(({ check, detail }) => `${check}: ${detail}`).join('; ')}`);
    await catchUpOnce();
  }
  // Decided in the row before it is done: a crash in between goes on with the swap.
  return journal.save(job, { phase: 'swapped' });
};

const swapAndFinish: Step = async (deps, job, signal) => {
  const { journal, store } = deps;
  const target = targetOf(job);
  if (job.cancelRequested && (await store.live()) !== target) throw new RebuildCancelledError('it was cancelled');
  // Also where it is live: what failed in the middle of a swap is ended by its repetition.
  await store.swap(target);
  await store.swapped(target);
  // The swap cannot be taken back: what instances still wrote elsewhere before they saw it is brought in, however often it takes.
  await untilDone(() => pass(deps, job, signal), { signal, onFailure: deps.onTrouble });
  return journal.finish(job, { phase: 'done', keepHours: deps.keepHours });
};
