import { readFile } from 'node:fs/promises';
import { withLease } from '@millrace/redis-kit';
import type { Lease, LeaseOptions } from '@millrace/redis-kit';
import { LoadRefusedError, endLoadsNamed, loadFiles, parseBadRowLimit, parseMappings, planDrop } from '@millrace/subscribers';
import type { DropPlan, FileMappings, LoadProgress, Stores } from '@millrace/subscribers';
import type { LoadSettings, Outcome } from './load-messages.ts';
import { beginRun, checkFence, endRun } from './schedule-runs.repository.ts';
import type { Run } from './schedule-runs.repository.ts';

export interface ScheduledLoadDeps {
  readonly stores: Stores;
  readonly lease: LeaseOptions;
  readonly settings: LoadSettings;
  readonly progress: LoadProgress;
  readonly signal: AbortSignal;
  /** Failures that somebody has to look into. */
  readonly onFailure: (error: unknown) => void;
}

/** Seen in pg_stat_activity; a later run ends the sessions of this name that are in its way. */
const SESSION = 'ut360-schedule';

const nothing = { seconds: 0, rows: {}, skipped: [] };

async function mappingsOf(file: string | undefined): Promise<FileMappings> {
  if (file === undefined) return {};
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new LoadRefusedError(`UT360_DROP_MAPPING: ${file} is not a file that can be read`, { cause: error });
  });
  return parseMappings(text);
}

const whyNothing = ({ skipped }: DropPlan): string => (skipped.length === 0 ? 'none of the files is in UT360_DROP_DIR' : skipped.map(({ file, reason }) => `${file} ${reason}`).join('; '));

async function load({ stores, settings, progress }: ScheduledLoadDeps, run: Run, { fencingNumber }: Lease, signal: AbortSignal): Promise<Omit<Outcome, 'seconds'>> {
  const limit = parseBadRowLimit(settings.maxBad);
  if (limit === undefined) throw new LoadRefusedError('UT360_DROP_MAX_BAD must be a share or a number of rows: 1%, 250');
  // Rather now than after the files were read.
  await stores.redis.ping();
  const mappings = await mappingsOf(settings.mappingFile);
  const plan = await planDrop(stores.pool, { directory: settings.directory, names: settings.names, settleMs: settings.settleMs, mappings, signal });
  const skipped = [...plan.skipped];
  // They belong together, so they wait for each other; not for ever.
  if (plan.isUnsettled && !run.isLastAttempt) return { state: 'waiting', reason: whyNothing(plan), rows: {}, skipped };
  if (Object.keys(plan.files).length === 0) return { state: plan.isUnsettled ? 'waiting' : 'nothing', reason: whyNothing(plan), rows: {}, skipped };
  await endLoadsNamed(stores.pool, SESSION);
  const report = await loadFiles(stores, {
    files: plan.files, mappings, limit, keep: settings.keep, aliasKeys: settings.aliasKeys, progress, signal, name: SESSION,
    async confirm(client) {
      await plan.checkUnchanged();
      await checkFence(client, fencingNumber);
    },
  });
  return { state: 'loaded', load: report.load, rows: Object.fromEntries(report.datasets.map(({ dataset, rows }) => [dataset, rows])), skipped };
}

function toFailure(error: unknown, { signal, onFailure }: ScheduledLoadDeps): Omit<Outcome, 'seconds'> {
  const reason = error instanceof Error ? error.message : 'unknown';
  if (signal.aborted) return { ...nothing, state: 'stopped', reason: 'the service was stopped' };
  if (error instanceof LoadRefusedError) return { ...nothing, state: 'refused', reason };
  onFailure(error);
  return { ...nothing, state: 'failed', reason };
}

/**
 * One run of the schedule: looks into the drop folder and loads what is new there. At most one of all processes does so, by a lease; what
 * was not kept from acting by that (a process that stood still) is refused at the switch by its fencing number. Safe to call again for the
 * same time: once that has been dealt with, nothing happens. Rejects only where Postgres or the Redis of the lease cannot be asked.
 */
export async function runScheduledLoad(deps: ScheduledLoadDeps): Promise<Outcome> {
  const { settings, stores: { pool } } = deps;
  const startMs = performance.now();
  const outcome = await withLease(deps.lease, async (lease) => {
    const run = await beginRun(pool, new Date(settings.dueAt), { fence: lease.fencingNumber, now: new Date(), retryMs: settings.retryMs, maxAttempts: settings.maxAttempts });
    if (run === undefined) return { ...nothing, state: 'over' as const };
    const ended = await load(deps, run, lease, AbortSignal.any([deps.signal, lease.signal])).catch((error: unknown) => toFailure(error, deps));
    const done: Outcome = { ...ended, seconds: Number(((performance.now() - startMs) / 1_000).toFixed(1)) };
    await endRun(pool, run, done);
    return done;
  });
  return outcome ?? { ...nothing, state: 'busy' };
}
