import { createRedisPositions } from '@millrace/bus';
import type { BusPositions, Layout } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { Keys, Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RecsDb } from './database.ts';
import { partitionKeys } from './count-keys.ts';
import type { Rebuilt } from './rebuild-counts.ts';
import { beginRebuild, endRebuild, findLastRebuild, isRebuildAsked } from './rebuild.repository.ts';
import type { RebuildReason } from './rebuild.repository.ts';

export interface CountRebuildsDeps {
  readonly db: RecsDb;
  readonly redis: Redis;
  readonly keys: Keys;
  /** Of the bus; default: of the bus on this Redis. */
  readonly positions?: BusPositions;
  /** One instance at a time: undefined where another one is at it. */
  readonly asLeader: <T>(work: (lost: AbortSignal) => Promise<T>) => Promise<{ readonly result: T } | undefined>;
  readonly rebuild: (signal: AbortSignal) => Promise<Rebuilt>;
  readonly dropOld: () => Promise<number>;
  /** Minutes after midnight UTC; undefined: no nightly rebuild. */
  readonly atMinute: number | undefined;
  readonly signal: AbortSignal;
  readonly metrics: Registry;
  readonly logger: Logger;
  readonly now?: () => number;
}

export interface CountRebuilds {
  /** Begins one now; false where one is running, on whatever instance. One that fails, or whose process ends, is begun again like those on the schedule. Rejects where it could not be written down. */
  request(): Promise<boolean>;
  /** Does what is due, and removes old generations: on a schedule. */
  tick(): Promise<void>;
  /** Resolves when no rebuild of this instance runs any more. */
  close(): Promise<void>;
}

/** After a failure the next one waits. */
const RETRY_MS = 2_000;
const MAX_RETRY_MS = 1_800_000;
/** Replaced generations are looked for. */
const DROP_EVERY_MS = 60_000;
const DAY_MS = 86_400_000;

/** The last instant at which a nightly rebuild was to begin. */
export const lastScheduled = (nowMs: number, atMinute: number): number => Math.floor((nowMs - atMinute * 60_000) / DAY_MS) * DAY_MS + atMinute * 60_000;

/** Partitions that events come to, those before a repartitioning too. */
export const partitionsOf = ({ current, draining }: Layout): readonly number[] =>
  [current, ...(draining ? [draining] : [])].flatMap(({ first, count }) => Array.from({ length: count }, (_none, at) => first + at));

/** Why the counts are to be rebuilt now; undefined: they are not. */
async function findDue({ db, redis, keys, positions = createRedisPositions(redis, keys), atMinute, now = Date.now }: Pick<CountRebuildsDeps, 'db' | 'redis' | 'keys' | 'positions' | 'atMinute' | 'now'>): Promise<RebuildReason | undefined> {
  const layout = await positions.layout(interactions);
  if (layout.draining !== undefined) return undefined;
  if (await isRebuildAsked(db)) return 'manual';
  const generations = await Promise.all(partitionsOf(layout).map((partition) => redis.get(partitionKeys(keys, partition).generation)));
  if (generations.includes(null)) return 'first';
  if (atMinute === undefined) return undefined;
  const last = await findLastRebuild(db);
  return last === undefined || last.getTime() < lastScheduled(now(), atMinute) ? 'nightly' : undefined;
}

interface Run {
  readonly reason: RebuildReason;
  readonly lost: AbortSignal;
  readonly tell: Telling;
  /** It is written down: whatever happens to this instance, it will be done. */
  readonly onBegun: () => void;
}

/** Under the lease; whether it came to its end. Rejects where Postgres is away. */
async function runRebuild({ db, rebuild, signal }: CountRebuildsDeps, { reason, lost, tell, onBegun }: Run): Promise<boolean> {
  const id = await beginRebuild(db, reason);
  onBegun();
  const startedMs = performance.now();
  try {
    const rebuilt = await rebuild(AbortSignal.any([signal, lost]));
    await endRebuild(db, id, rebuilt);
    tell.rebuilt(reason, rebuilt, performance.now() - startedMs);
    return true;
  } catch (error) {
    tell.failed(reason, error);
    await endRebuild(db, id, { error: error instanceof Error ? error.message : 'unknown' });
    return false;
  }
}

/** Rebuilds of the counts: at once where some were never built, each night, and when somebody asks. Several instances may have one each. */
export function createCountRebuilds(deps: CountRebuildsDeps): CountRebuilds {
  const { signal, logger, now = Date.now } = deps;
  const tell = createTelling(deps.metrics, logger);
  let running: Promise<void> | undefined;
  let failures = 0;
  let notBeforeMs = 0;
  let droppedAtMs = Number.NEGATIVE_INFINITY;

  const run = async (reason: RebuildReason, find: () => Promise<RebuildReason | undefined>, onBegun: () => void): Promise<boolean> => {
    // Asks again once it leads: another instance may have done it meanwhile.
    const led = await deps.asLeader(async (lost) => {
      const due = await find();
      return due === undefined || runRebuild(deps, { reason: due, lost, tell, onBegun });
    });
    if (led === undefined) logger.info({ reason }, 'another instance rebuilds the counts');
    return led?.result !== false;
  };
  const settle = (isFailed: boolean): void => {
    failures = isFailed ? failures + 1 : 0;
    notBeforeMs = isFailed ? now() + Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(10, failures - 1)) : 0;
    running = undefined;
  };
  /** Resolves true once one has begun, false where none has; what ends it before rejects. */
  const start = (reason: RebuildReason, find: () => Promise<RebuildReason | undefined>): Promise<boolean> => {
    const begun = Promise.withResolvers<boolean>();
    const work = async (): Promise<void> => {
      try {
        settle(!(await run(reason, find, () => begun.resolve(true))));
        begun.resolve(false);
      } catch (error) {
        tell.failed(reason, error);
        settle(true);
        begun.reject(error);
      }
    };
    running = work();
    return begun.promise;
  };
  return {
    request: async () => {
      if (signal.aborted) throw new AppError('unavailable', 'this instance is ending');
      return running === undefined && start('manual', async () => 'manual');
    },
    tick: async () => {
      if (running !== undefined) return;
      const reason = now() < notBeforeMs ? undefined : await findDue(deps);
      // What goes wrong is told where it runs.
      if (reason !== undefined && running === undefined && !signal.aborted) start(reason, () => findDue(deps)).catch(() => undefined);
      if (now() - droppedAtMs < DROP_EVERY_MS) return;
      droppedAtMs = now();
      const dropped = await deps.dropOld();
      if (dropped > 0) logger.info({ keys: dropped }, 'old counts were removed');
    },
    close: async () => running,
  };
}

interface Telling { rebuilt(reason: RebuildReason, result: Rebuilt, ms: number): void; failed(reason: RebuildReason, error: unknown): void }

function createTelling(metrics: Registry, logger: Logger): Telling {
  const outcomes = new Counter({ name: 'recs_count_rebuilds_total', help: 'Rebuilds of the counts', labelNames: ['outcome'], registers: [metrics] });
  const drift = new Gauge({ name: 'recs_count_drift', help: 'How far the counts were off at their last rebuild: 0 = equal, 1 = nothing in common', labelNames: ['kind'], registers: [metrics] });
  const at = new Gauge({ name: 'recs_counts_rebuilt_timestamp_seconds', help: 'End of the last rebuild of the counts by this instance', registers: [metrics] });
  return {
    rebuilt: (reason, { generation, events, users, drift: off }, ms) => {
      outcomes.inc({ outcome: 'ok' });
      for (const [kind, value] of Object.entries(off)) drift.set({ kind }, value);
      at.setToCurrentTime();
      logger.info({ reason, generation, events, users, drift: off, seconds: Math.round(ms / 100) / 10 }, 'the counts were rebuilt');
    },
    failed: (reason, error) => {
      outcomes.inc({ outcome: 'failed' });
      logger.warn({ reason, err: error }, 'the counts could not be rebuilt, the live ones go on');
    },
  };
}
