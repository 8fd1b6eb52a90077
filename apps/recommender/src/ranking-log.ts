import { isUnavailable } from '@millrace/bus';
import { isViolation, LOCK_NOT_AVAILABLE } from '@millrace/database';
import type { Logger } from '@millrace/service';
import { sql } from 'kysely';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RecsDb, RecsTrx } from './database.ts';
import type { ErasedUsers } from './erase-users.ts';
import { insertShownLists } from './experiment-log.ts';

export interface ServedRanking {
  readonly rankingId: string;
  readonly userId: string | null;
  readonly kind: 'recommendations' | 'rerank' | 'also_bought';
  readonly servedAtMs: number;
  readonly items: readonly { readonly sku: string; readonly stage: string }[];
  /** Experiments that the user takes part in. */
  readonly experiments?: readonly { readonly key: string; readonly variant: string }[];
}

export interface RankingLog {
  /** Takes note of a list that is being served; returns at once, never throws. */
  add(ranking: ServedRanking): void;
  /** Resolves when all that was added before is in Postgres, or has been given up; rejects where Postgres cannot be reached: then it still waits. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const FLUSH_MS = 200;
const MAX_WAITING = 10_000;
const MAX_BATCH = 500;
/** Each waits for the lock of erasures as long as the pool lets it. */
const MAX_TRIES = 5;

export interface RankingLogDeps {
  readonly logger: Logger;
  readonly metrics: Registry;
  /** Who was erased: their lists are kept without them. Its transactions write. */
  readonly erased: ErasedUsers;
}

/** Writes served lists behind the answers, in batches, and waits while Postgres cannot be reached. Bounded: above 10,000 lists the oldest are dropped, and counted. */
export function createRankingLog({ logger, metrics, erased }: RankingLogDeps): RankingLog {
  const drop = createDrop({ logger, metrics });
  let waiting: ServedRanking[] = [];
  let last = Promise.resolve();
  let flushes = 0;
  let isAway = false;
  const putBack = (batch: readonly ServedRanking[]): void => {
    const all = [...batch, ...waiting];
    waiting = all.slice(-MAX_WAITING);
    drop(all.length - waiting.length);
  };
  const writeSome = async (): Promise<void> => {
    let tries = 0;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MAX_BATCH);
      waiting = waiting.slice(MAX_BATCH);
      try {
        await erased.whileKnown((trx) => insertLists(trx, batch.map((one) => (one.userId !== null && erased.has(one.userId) ? { ...one, userId: null } : one))));
        isAway = false;
      } catch (error) {
        // Whoever holds the lock loses it after a while.
        if (isViolation(error, LOCK_NOT_AVAILABLE) && (tries += 1) < MAX_TRIES) {
          putBack(batch);
          continue;
        }
        if (isUnavailable(error)) {
          putBack(batch);
          if (!isAway) logger.warn({ err: error }, 'served lists wait for Postgres');
          isAway = true;
          throw error;
        }
        drop(batch.length, error);
      }
    }
  };
  const flush = async (): Promise<void> => {
    flushes += 1;
    const done = last.then(writeSome).finally(() => (flushes -= 1));
    last = done.catch(() => undefined);
    return done;
  };
  // What fails is told where it fails, and is tried again by the next one.
  const timer = setInterval(() => {
    if (flushes === 0) flush().catch(() => undefined);
  }, FLUSH_MS);
  return {
    add: (ranking) => {
      if (waiting.length >= MAX_WAITING) {
        drop(1);
        waiting.shift();
      }
      waiting.push(ranking);
    },
    flush,
    close: async () => {
      clearInterval(timer);
      await flush().catch((error: unknown) => drop(waiting.length, error));
    },
  };
}

/** Counts lists that are given up, and says why where it is not for their number. */
function createDrop({ logger, metrics }: Pick<RankingLogDeps, 'logger' | 'metrics'>): (lists: number, err?: unknown) => void {
  const dropped = new Counter({ name: 'recs_rankings_dropped_total', help: 'Served lists that could not be written to Postgres', registers: [metrics] });
  return (lists, err) => {
    dropped.inc(lists);
    if (err !== undefined) logger.warn({ err, lists }, 'served lists could not be written');
  };
}

async function insertLists(trx: RecsTrx, lists: readonly ServedRanking[]): Promise<void> {
  await insertRankings(trx, lists);
  await insertShownLists(trx, lists);
}

async function insertRankings(trx: RecsTrx, rankings: readonly ServedRanking[]): Promise<void> {
  await trx
    .insertInto('recs.rankings')
    .values(rankings.map(({ rankingId, userId, kind, servedAtMs, items }) => ({ ranking_id: rankingId, user_id: userId, kind, served_at: new Date(servedAtMs), skus: items.map(({ sku }) => sku), stages: items.map(({ stage }) => stage) })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** How many were new: the same product of the same list counts once. */
export async function recordImpressions(db: RecsDb, rankingId: string, items: readonly { readonly sku: string; readonly position: number }[]): Promise<number> {
  const rows = [...new Map(items.map(({ sku, position }) => [sku, { ranking_id: rankingId, sku, position, seen_at: new Date() }])).values()];
  const added = await db.insertInto('recs.impressions').values(rows).onConflict((conflict) => conflict.doNothing()).returning('sku').execute();
  return added.length;
}

/** Lists and impressions older than `days` go, a bounded number a call; how many went. */
export async function purgeRankings(db: RecsDb, days: number): Promise<number> {
  const old = sql<Date>`now() - make_interval(days => ${days})`;
  const lists = await db.deleteFrom('recs.rankings').where('ranking_id', 'in', (from) => from.selectFrom('recs.rankings').select('ranking_id').where('served_at', '<', old).limit(5_000)).executeTakeFirst();
  const seen = await db
    .deleteFrom('recs.impressions')
    .where('ranking_id', 'in', (from) => from.selectFrom('recs.impressions').select('ranking_id').where('seen_at', '<', old).limit(5_000))
    .where('seen_at', '<', old)
    .executeTakeFirst();
  return Number(lists.numDeletedRows) + Number(seen.numDeletedRows);
}
