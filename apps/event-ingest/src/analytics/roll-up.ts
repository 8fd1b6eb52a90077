import { describeError } from '@millrace/bus';
import { asList, asText } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import type { Pool } from 'pg';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import { dropSealed, sealCounts } from './count-script.ts';
import { userDays } from './deltas.ts';
import { commitSet, keepUsers, purgeCounts } from './roll-up.repository.ts';
import type { Retention } from './roll-up.repository.ts';
import type { Source, Sources } from './sources.ts';
import { readCountSet } from './unflushed.ts';

export interface RollUpDeps {
  readonly redis: Redis;
  readonly sources: Pick<Sources, 'list'>;
  readonly pool: Pool;
  readonly retention: Retention;
  /**
   * A sealed set is committed so many milliseconds later. Longer than what Redis may lose in a crash, so that a committed set is never open again; and than the 5 s that
   * are sent again after Redis lost data, so that none of those is in a committed set already (but where it loses everything after nobody sent an event for a second or more).
   */
  readonly settleMs?: number;
  readonly now?: () => number;
}

const SETTLE_MS = 6_000;

/** Commits what was sealed long enough ago, and seals what came since. Returns how many counts were added to Postgres. */
async function rollUpSource({ redis, pool, retention, settleMs = SETTLE_MS, now = Date.now }: RollUpDeps, { name, keys }: Source): Promise<number> {
  const sealed = await sealCounts(redis, [keys.pending, keys.sealed], []);
  if (sealed === null) return 0;
  const [id, sealedAt, redisNow] = asList(sealed).map((value) => (value === null ? '' : asText(value)));
  if (Number(redisNow) - Number(sealedAt) < settleMs) return 0;
  const set = await readCountSet(redis, keys.sealed);
  // Another instance was faster.
  if (set === undefined || set.id !== id) return 0;
  const isNew = await commitSet(pool, { ...set, source: name, sealedAtMs: Number(sealedAt) }, retention, now());
  await dropSealed(redis, [keys.sealed], [set.id]);
  await sealCounts(redis, [keys.pending, keys.sealed], []);
  return isNew ? set.deltas.length : 0;
}

/** One round over everything that is counted. Safe to kill at any point, and on several instances at once: a set is added by its id, once. */
export async function rollUp(deps: RollUpDeps): Promise<number> {
  const all = await deps.sources.list();
  let added = 0;
  for (const source of all) added += await rollUpSource(deps, source);
  await rollUpUsers(deps, all);
  return added;
}

async function rollUpUsers({ redis, pool, now = Date.now }: RollUpDeps, all: readonly Source[]): Promise<void> {
  const counted = await Promise.all(all.flatMap(({ name, keys }) => userDays(now()).map(async (day) => ({ day, source: name, users: await redis.pfcount(keys.users(day)) }))));
  await keepUsers(pool, counted.filter(({ users }) => users > 0));
}

export interface RollingOptions extends RollUpDeps {
  readonly everyMs: number;
  readonly metrics: Registry;
  readonly logger: Logger;
}

const PURGE_EVERY_MS = 600_000;

/** Rolls up every `everyMs`, never twice at once; a failure is logged and the next round comes. Closing waits for the round in hand. */
export function startRollUp(options: RollingOptions): { close(): Promise<void> } {
  const { everyMs, metrics, logger, pool, retention } = options;
  const added = new Counter({ name: 'analytics_rolled_up_total', help: 'Counts that were added to Postgres', registers: [metrics] });
  let isFailing = false;
  let running: Promise<void> | undefined;
  let purgedAtMs: number | undefined;
  const round = async (): Promise<void> => {
    try {
      added.inc(await rollUp(options));
      if (purgedAtMs === undefined || performance.now() - purgedAtMs > PURGE_EVERY_MS) {
        await purgeCounts(pool, retention, Date.now());
        purgedAtMs = performance.now();
      }
      isFailing = false;
    } catch (error) {
      if (!isFailing) logger.warn({ error: describeError(error) }, 'counts could not be rolled up, it will be tried again');
      isFailing = true;
    }
  };
  const timer = setInterval(() => void (running ??= round().finally(() => (running = undefined))), everyMs);
  return {
    async close() {
      clearInterval(timer);
      await running;
    },
  };
}
