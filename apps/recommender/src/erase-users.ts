import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler, EventPublisher } from '@millrace/bus';
import { erasureReceipts } from '@millrace/contracts';
import type { Interaction, StoreReceipt, UserErasure, UserMerge } from '@millrace/contracts';
import { createPseudonym } from '@millrace/service';
import { sql } from 'kysely';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RecsDb, RecsTrx } from './database.ts';
import { eraseExperiments } from './experiment-log.ts';
import type { Forgotten } from './user-counts.ts';

/** Users that were erased, as far as this instance knows: HMACs in memory, `recs.erased` is the truth. */
export interface ErasedUsers {
  has(userId: string): boolean;
  /** Records and knows them. */
  add(userIds: readonly string[]): Promise<void>;
  /** A transaction before which `has` has learned of everyone, and during which nobody is recorded: what it writes names nobody who was erased. */
  whileKnown<T>(work: (trx: RecsTrx) => Promise<T>): Promise<T>;
  /** What other instances recorded: for a schedule. */
  refresh(): Promise<void>;
}

export interface ErasedUsersDeps {
  readonly db: RecsDb;
  /** On a pool of its own: its transactions wait for those of other instances. */
  readonly locking: RecsDb;
  readonly secret: string | undefined;
}

const LOCK = sql.lit('millrace:recs:erased');

export function createErasedUsers({ db, locking, secret }: ErasedUsersDeps): ErasedUsers {
  const hmac = secret === undefined ? undefined : createPseudonym(secret);
  const known = new Set<string>();
  let newest = '-infinity';
  const refresh = async (from: RecsDb | RecsTrx): Promise<void> => {
    // A minute back: transactions that began earlier may have committed since.
    const { rows } = await sql<{ hmac: string; erased_at: string }>`select hmac, erased_at::text as erased_at from recs.erased where erased_at > ${newest}::timestamptz - interval '1 minute' order by erased_at`.execute(from);
    for (const row of rows) known.add(row.hmac);
    newest = rows.at(-1)?.erased_at ?? newest;
  };
  return {
    has: (userId) => hmac !== undefined && known.size > 0 && known.has(hmac(userId)),
    async add(userIds) {
      if (!hmac) throw new Error('users are erased and this service has no USER_ERASURE_SECRET');
      const names = userIds.map(hmac);
      await locking.transaction().execute(async (trx) => {
        await sql`select pg_advisory_xact_lock(hashtextextended(${LOCK}, 0))`.execute(trx);
        await sql`insert into recs.erased (hmac) select unnest(${names}::text[]) on conflict do nothing`.execute(trx);
      });
      for (const name of names) known.add(name);
    },
    whileKnown: (work) =>
      locking.transaction().execute(async (trx) => {
        await sql`select pg_advisory_xact_lock_shared(hashtextextended(${LOCK}, 0))`.execute(trx);
        await refresh(trx);
        return work(trx);
      }),
    refresh: () => refresh(db),
  };
}

/** Events and merges of erased users have no effect. */
export function withoutErased<E>(erased: Pick<ErasedUsers, 'has'>, namesOf: (event: E) => readonly string[], metrics: Registry | undefined): (handle: BatchHandler<E>) => BatchHandler<E> {
  const name = 'recs_erased_events_total';
  const registered = metrics?.getSingleMetric(name);
  const dropped = registered instanceof Counter ? registered : new Counter({ name, help: 'Events of erased users that were dropped', registers: metrics ? [metrics] : [] });
  return (handle) => async (events, delivery) => {
    const kept = events.filter((event) => !namesOf(event).some((id) => erased.has(id)));
    if (kept.length < events.length) dropped.inc(events.length - kept.length);
    if (kept.length > 0) await handle(kept, delivery);
  };
}
export const usersOfInteraction = ({ user_id: id }: Interaction): readonly string[] => [id];
export const usersOfMerge = ({ from, to }: UserMerge): readonly string[] => [from, to];

export interface EraseUsersDeps {
  /** Deleting waits for whoever changes the same rows. */
  readonly locking: RecsDb;
  /** Removes what is counted for this very id. */
  readonly forgetCounts: (userId: string) => Promise<Forgotten>;
  readonly erased: ErasedUsers;
  /** Served lists that this instance has not written yet. */
  readonly flush: () => Promise<void>;
  readonly bus: EventPublisher;
}

const SERVICE = 'recommender';
const by = (store: string, erased: number, due = 0): StoreReceipt => ({ store, found: erased + due, erased, due });

/** Another store of users' data is one line more, here and in `userStores` of libs/contracts. */
const stores: readonly ((deps: EraseUsersDeps, users: readonly string[]) => Promise<StoreReceipt>)[] = [
  async ({ locking: db }, users) => {
    const { rows } = await sql<{ ranking_id: string }>`delete from recs.rankings where user_id = any(${users}::text[]) returning ranking_id`.execute(db);
    await sql`delete from recs.impressions where ranking_id = any(${rows.map(({ ranking_id: id }) => id)}::uuid[])`.execute(db);
    return by('recs.rankings', rows.length);
  },
  async ({ locking: db }, users) => by('recs.user_aliases', Number((await sql`delete from recs.user_aliases where alias = any(${users}::text[]) or user_id = any(${users}::text[])`.execute(db)).numAffectedRows ?? 0)),
  async ({ locking: db }, users) => by('recs.experiment_lists', await eraseExperiments(db, 'recs.experiment_lists', users)),
  async ({ locking: db }, users) => by('recs.experiment_events', await eraseExperiments(db, 'recs.experiment_events', users)),
  async ({ forgetCounts }, users) => {
    let [erased, due] = [0, 0];
    for (const id of users) {
      const forgotten = await forgetCounts(id);
      erased += forgotten.erased;
      due += forgotten.due;
    }
    return by('counts', erased, due);
  },
];

/**
 * Erases users in this service and answers with a receipt. Safe to repeat; event-ingest asks again while something is due, and at the end of its job. Counts of products, into which
 * the user's events went as numbers, stay: nobody can be told from them.
 */
export const eraseUsers =
  (deps: EraseUsersDeps): BatchHandler<UserErasure> =>
  async (events) => {
    for (const { job, attempt, users } of events) {
      try {
        await deps.flush();
        await deps.erased.add(users);
        const receipts: StoreReceipt[] = [];
        for (const erase of stores) receipts.push(await erase(deps, users));
        await deps.bus.publish(erasureReceipts, [{ type: 'erased', job, attempt, service: SERVICE, stores: receipts }]);
      } catch (error) {
        throw new SinkUnavailableError('a user cannot be erased now', { cause: error });
      }
    }
  };
