import { randomUUID } from 'node:crypto';
import type { Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import { Queue, Worker } from 'bullmq';
import type { Pool } from 'pg';
import { lastDue } from './cron.ts';
import type { Outcome } from './load-messages.ts';
import type { ScheduleMetrics } from './schedule-metrics.ts';
import { findDue, readScheduleState, registerSchedule } from './schedule-runs.repository.ts';

export interface ScheduleDeps {
  /** BullMQ blocks on its connections: each needs maxRetriesPerRequest null. */
  readonly connect: (role: 'background' | 'blocking', silentSocketMs?: number) => Redis;
  /** BullMQ's. */
  readonly prefix: string;
  /** Key of the lease of runs: while it is there somebody is at it. */
  readonly leaseKey: string;
  readonly pattern: string;
  readonly timeZone: string;
  readonly checkMs: number;
  /** How long a process that died counts as being at it. */
  readonly leaseMs: number;
  readonly retryMs: number;
  readonly maxAttempts: number;
  readonly pool: Pool;
  /** One run for the time that it was due. Never rejects. */
  readonly run: (dueAt: Date, signal: AbortSignal) => Promise<Outcome>;
  readonly metrics: ScheduleMetrics;
  readonly logger: Logger;
  readonly now?: () => Date;
}

export interface Schedule {
  /** Looks for a run that was missed or broken off, and for a schedule that Redis lost. One at a time; never rejects. */
  check(): Promise<void>;
  /** Stops what runs; it is begun again by another instance, or at the next start. */
  close(): Promise<void>;
}

const QUEUE = 'ut360-load';
const SCHEDULER = 'nightly';
/** BullMQ's longest block is 10 s, as long as a socket may be silent by default. */
const SILENT_SOCKET_MS = 20_000;
const KEEP_NOTHING = { removeOnComplete: true, removeOnFail: true };

function report(logger: Logger, dueAt: Date, { state, reason, load, seconds, rows, skipped }: Outcome): void {
  const fields = { dueAt: dueAt.toISOString(), state, reason, load, seconds, rows, skipped };
  if (state === 'refused' || state === 'failed') logger.error(fields, 'scheduled load did not go live, what was served stays');
  else if (state === 'waiting') logger.warn(fields, 'scheduled load waits for files that are still being written');
  else if (state === 'busy' || state === 'over') logger.debug(fields, 'another process does this scheduled load, or did');
  else logger.info(fields, 'scheduled load ended');
}

/**
 * A BullMQ schedule for all instances together. BullMQ only says when: what was done is in Postgres, and a time that nobody has dealt with
 * (the process was down, was killed, Redis lost its memory) is caught up once, however many were missed. BullMQ itself forgets a time that
 * passed while nobody was there as soon as the schedule is registered again.
 */
export function startSchedule(deps: ScheduleDeps): Schedule {
  const { connect, prefix, pattern, timeZone, checkMs, leaseMs, retryMs, maxAttempts, pool, logger, metrics, now = () => new Date() } = deps;
  const stopping = new AbortController();
  const instance = randomUUID();
  let restingUntilMs = 0;
  let checking: Promise<void> | undefined;
  const connections = { queue: connect('background'), worker: connect('blocking', SILENT_SOCKET_MS) };
  const queue = new Queue(QUEUE, { connection: connections.queue, prefix, defaultJobOptions: KEEP_NOTHING });
  const warn = (err: unknown): void => {
    if (!stopping.signal.aborted) logger.warn({ err }, 'schedule of loads, it will be tried again');
  };
  const runDue = async (): Promise<void> => {
    const dueAt = lastDue(pattern, timeZone, now());
    if (stopping.signal.aborted || !(await findDue(pool, dueAt, { now: now(), retryMs, maxAttempts })).isDue) return;
    logger.info({ dueAt: dueAt.toISOString() }, 'scheduled load begins');
    metrics.running(true);
    const outcome = await deps.run(dueAt, stopping.signal).finally(() => metrics.running(false));
    // One that could not even be recorded must not be begun at every check.
    if (outcome.state === 'failed') restingUntilMs = performance.now() + retryMs;
    report(logger, dueAt, outcome);
    metrics.state(await readScheduleState(pool));
  };
  const worker = new Worker(QUEUE, runDue, { connection: connections.worker, prefix, concurrency: 1, lockDuration: leaseMs, stalledInterval: leaseMs });
  queue.on('error', warn);
  worker.on('error', warn);
  worker.on('failed', (_job, error) => warn(error));

  const register = async (): Promise<void> => {
    await registerSchedule(pool, { pattern, timeZone, now: now() });
    const known = await queue.getJobScheduler(SCHEDULER);
    if (known?.pattern !== pattern || known.tz !== timeZone) await queue.upsertJobScheduler(SCHEDULER, { pattern, tz: timeZone }, { name: SCHEDULER, opts: KEEP_NOTHING });
  };
  const look = async (): Promise<void> => {
    metrics.state(await readScheduleState(pool));
    await register();
    const dueAt = lastDue(pattern, timeZone, now());
    if (performance.now() < restingUntilMs || !(await findDue(pool, dueAt, { now: now(), retryMs, maxAttempts })).isDue) return;
    if ((await connections.queue.exists(deps.leaseKey)) === 1) return;
    // One waiting job an instance: that of another may be in the hands of a process that stands still. Who comes second finds the time dealt with.
    await queue.add('due', {}, { jobId: `due-${instance}`, ...KEEP_NOTHING });
  };
  const check = (): Promise<void> => (checking ??= look().catch(warn).finally(() => { checking = undefined; }));
  void check();
  const timer = setInterval(() => void check(), checkMs);
  return {
    check,
    async close() {
      clearInterval(timer);
      stopping.abort(new Error('the service is stopped'));
      await checking;
      await worker.close();
      await queue.close();
      connections.queue.disconnect();
      connections.worker.disconnect();
    },
  };
}
