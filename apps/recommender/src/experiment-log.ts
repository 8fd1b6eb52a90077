import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import { sql } from 'kysely';
import { z } from 'zod';
import type { RecsDb, RecsTrx } from './database.ts';
import type { ErasedUsers } from './erase-users.ts';
import type { LiveExperiments } from './live-experiments.ts';

export interface ShownList { readonly rankingId: string; readonly userId: string | null; readonly servedAtMs: number; readonly experiments?: readonly { readonly key: string; readonly variant: string }[] }

/** Who was shown which variant with which list; each list once. */
export async function insertShownLists(db: RecsDb | RecsTrx, lists: readonly ShownList[]): Promise<void> {
  const rows = lists.flatMap(({ rankingId, userId, servedAtMs, experiments = [] }) => (userId === null ? [] : experiments.map(({ key, variant }) => ({ experiment: key, ranking_id: rankingId, user_id: userId, variant, served_at: new Date(servedAtMs) }))));
  if (rows.length > 0) await db.insertInto('recs.experiment_lists').values(rows).onConflict((conflict) => conflict.doNothing()).execute();
}

const isRankingId = (text: string | undefined): text is string => z.uuid().safeParse(text).success;

type Row = Readonly<{ event_id: string; month: string; user_id: string; kind: 'click' | 'purchase'; ranking_id: string | null; happened_at: Date }>;

/** Purchases of everybody: who buys may have been shown lists under another name, which only a merge will tell. */
function rowsOf({ type, user_id, month, ranking_id: rankingId, meta }: Interaction): Row[] {
  const row = { event_id: meta.id, month, user_id, happened_at: new Date(meta.timestamp) };
  if (type === 'purchase') return [{ ...row, kind: 'purchase', ranking_id: null }];
  return type === 'click' && isRankingId(rankingId) ? [{ ...row, kind: 'click', ranking_id: rankingId }] : [];
}

export interface CountForExperimentsDeps {
  readonly live: Pick<LiveExperiments, 'isCounting' | 'refresh'>;
  /** Who was erased: nothing of them is kept. Its transactions write. */
  readonly erased: ErasedUsers;
}

/**
 * Keeps the clicks and purchases that count in an experiment, each event once, whatever is delivered again or in which order. Looks first whether an
 * experiment was started elsewhere. While Postgres is away nothing is acknowledged.
 */
export const countForExperiments = ({ live, erased }: CountForExperimentsDeps): BatchHandler<Interaction> => async (events) => {
  const rows = events.flatMap(rowsOf);
  if (rows.length === 0) return;
  if (!(await live.refresh())) throw new SinkUnavailableError('the experiments cannot be read now');
  if (!live.isCounting()) return;
  try {
    await erased.whileKnown((trx) => insertEvents(trx, rows.filter(({ user_id: id }) => !erased.has(id))));
  } catch (error) {
    throw new SinkUnavailableError('what counts in experiments cannot be written now', { cause: error });
  }
};

async function insertEvents(trx: RecsTrx, rows: readonly Row[]): Promise<void> {
  if (rows.length > 0) await trx.insertInto('recs.experiment_events').values([...rows]).onConflict((conflict) => conflict.doNothing()).execute();
}

const MAX_ROWS = 20_000;

/**
 * Takes note of which lists were seen before impressions go, and forgets lists, clicks and purchases after `days`; at most 20,000 rows of each a call. How
 * many went. To be called more often than impressions are kept.
 */
export async function keepExperimentLog(db: RecsDb, days: number): Promise<number> {
  await sql`update recs.experiment_lists set seen = true where ranking_id in (
    select l.ranking_id from recs.experiment_lists l where not l.seen and exists (select from recs.impressions i where i.ranking_id = l.ranking_id) limit ${MAX_ROWS})`.execute(db);
  const lists = await sql`delete from recs.experiment_lists where ctid in (select ctid from recs.experiment_lists where served_at < now() - make_interval(days => ${days}) limit ${MAX_ROWS})`.execute(db);
  const events = await sql`delete from recs.experiment_events where ctid in (select ctid from recs.experiment_events where happened_at < now() - make_interval(days => ${days}) limit ${MAX_ROWS})`.execute(db);
  return Number(lists.numAffectedRows ?? 0) + Number(events.numAffectedRows ?? 0);
}

/** Erases the lists, or the clicks and purchases, that experiments have of these users. Safe to repeat; answers how many rows there were. Results are counted without them from then on. */
export async function eraseExperiments(client: RecsDb | RecsTrx, store: 'recs.experiment_lists' | 'recs.experiment_events', userIds: readonly string[]): Promise<number> {
  const { numAffectedRows } = await sql`delete from ${sql.table(store)} where user_id = any(${userIds}::text[])`.execute(client);
  return Number(numAffectedRows ?? 0);
}
