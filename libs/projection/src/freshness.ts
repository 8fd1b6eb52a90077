import type { Keys, Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import { Summary } from 'prom-client';
import type { Registry } from 'prom-client';
import { z } from 'zod';

/** What a sink says of itself, once a second. Times in milliseconds since 1970. */
export interface FreshnessReport {
  /** When it was said. */
  readonly at: number;
  /** Commit time of the newest heartbeat or event that readers can see the effect of. */
  readonly through: number;
  /** From that commit until it was visible. */
  readonly delayMs: number;
  /** Age of the oldest entry that the group has not acknowledged; 0 = none. */
  readonly backlogAgeMs: number;
}

const reportSchema = z.object({ at: z.coerce.number(), through: z.coerce.number(), delayMs: z.coerce.number(), backlogAgeMs: z.coerce.number() });

/** The relay writes one so often; twice that without one means that something stands still. */
const HEARTBEAT_MS = 10_000;
const OVERDUE_MS = 1.5 * HEARTBEAT_MS;
/** A sink that said nothing for so long is gone. */
const SILENT_MS = 3_000;

/**
 * How far behind Postgres readers of a store are, in milliseconds: the age of the oldest change that is waiting; else the last measured way from
 * commit to visible; and where the sink is silent or heartbeats are overdue, the time since which all is known to be there.
 */
export function indexLagMs({ at, through, delayMs, backlogAgeMs }: FreshnessReport, nowMs: number): number {
  const isUnknown = nowMs - at > SILENT_MS || nowMs - through > OVERDUE_MS;
  const waiting = backlogAgeMs > 0 ? backlogAgeMs + (nowMs - at) : 0;
  return Math.max(0, Math.round(Math.max(delayMs, waiting, isUnknown ? nowMs - through : 0)));
}

export interface FreshnessReporterDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly store: 'search' | 'vectors';
  readonly lag: () => Promise<{ readonly oldestAgeMs: number }>;
  readonly metrics: Registry;
  readonly logger: Pick<Logger, 'warn'>;
  readonly everyMs?: number;
}

export interface FreshnessReporter {
  /** Commit times (ISO 8601) whose effects readers can see now: of handled events and of heartbeats. */
  readonly visible: (timestamps: readonly string[]) => void;
  stop(): Promise<void>;
}

/** Measures how fresh a store is (`sync_freshness_seconds`: p50 and p99 of the last ten minutes, from commit to visible) and tells the readers through Redis. Of several instances the newest sight counts. */
export function startFreshnessReporter({ redis, keys, store, lag, metrics, logger, everyMs = 1_000 }: FreshnessReporterDeps): FreshnessReporter {
  const summary = new Summary({
    name: 'sync_freshness_seconds', help: 'From the commit of a change or heartbeat until readers can see it', labelNames: ['store'], percentiles: [0.5, 0.99], maxAgeSeconds: 600, ageBuckets: 10, registers: [metrics],
  });
  let newest: { through: number; delayMs: number } | undefined;
  let hasFailed = false;
  const visible = (timestamps: readonly string[]): void => {
    const nowMs = Date.now();
    for (const timestamp of timestamps) {
      const through = Date.parse(timestamp);
      if (!Number.isFinite(through)) continue;
      const delayMs = Math.max(0, nowMs - through);
      summary.observe({ store }, delayMs / 1_000);
      // Retries are older than what went on meanwhile.
      if (through >= (newest?.through ?? 0)) newest = { through, delayMs };
    }
  };
  const report = async (): Promise<void> => {
    if (!newest) return;
    // Of several instances one may have nothing to do any more (its partition is another's): what it saw long ago must not hide what others see.
    const theirs = reportSchema.safeParse(await redis.hgetall(keys.freshness(store)));
    if (theirs.success && theirs.data.through > newest.through) newest = { through: theirs.data.through, delayMs: theirs.data.delayMs };
    const said = { ...newest, at: Date.now(), backlogAgeMs: (await lag()).oldestAgeMs } satisfies FreshnessReport;
    await redis.hset(keys.freshness(store), said);
  };
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= report()
      .then(() => void (hasFailed = false))
      .catch((err: unknown) => {
        if (!hasFailed) logger.warn({ err }, 'the freshness of the store cannot be told');
        hasFailed = true;
      })
      .finally(() => void (running = undefined));
  }, everyMs);
  return {
    visible,
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}

export interface FreshnessReaderDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly store: 'search' | 'vectors';
}

/**
 * How far behind the store is now, without waiting: what the sink said last (asked again at most twice a second) and the time that went by since.
 * null as long as nothing was ever said. With Redis down the number grows: nothing flows then.
 */
export function createFreshnessReader({ redis, keys, store }: FreshnessReaderDeps): () => number | null {
  let known: FreshnessReport | undefined;
  let askedMs = -Infinity;
  const ask = async (): Promise<void> => {
    const said = reportSchema.safeParse(await redis.hgetall(keys.freshness(store)));
    if (said.success) known = said.data;
  };
  return () => {
    if (performance.now() - askedMs > 500) {
      askedMs = performance.now();
      // What was known stays: it grows old, and says so.
      ask().catch(() => undefined);
    }
    return known ? indexLagMs(known, Date.now()) : null;
  };
}
