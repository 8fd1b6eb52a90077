import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { UserMerge } from '@millrace/contracts';
import { within } from '@millrace/service';
import { sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { RecsDb } from './database.ts';

export interface UserNames {
  /** The id that counts. */
  readonly userId: string;
  /** All ids of the person, that one first. */
  readonly all: readonly string[];
}

export interface NameBook {
  /** Never rejects and never takes longer than `waitMs`: a user is its own only name where Postgres does not answer. */
  find(userId: string): Promise<UserNames>;
  /** For the group: keeps a merge in the table, and takes served lists and the history along. Safe to repeat, in any order. */
  readonly keep: BatchHandler<UserMerge>;
  /** For the broadcast: every instance looks again. */
  readonly forget: BatchHandler<UserMerge>;
  forgetAll(): void;
}

const REMEMBERED = 100_000;
/** A broadcast that was missed is made up for after so long. */
const REMEMBERED_MS = 30_000;

/** After a failed or slow look nobody asks for so long. */
const PAUSE_MS = 1_000;

export interface NameBookDeps {
  readonly db: RecsDb;
  /** On a pool of its own: a merge waits for those of other instances. */
  readonly locking: RecsDb;
  readonly onFailure: (error: unknown) => void;
  /** Makes the history of `from` a part of the one of `to`; safe to repeat. */
  readonly moveCounts: (merge: { readonly from: string; readonly to: string }) => Promise<void>;
  readonly waitMs?: number;
}

/**
 * The names of merged users. A history moves from name to name, merge by merge, and readers ask for all names: so where a merge comes twice, late or out
 * of order nothing counts twice, and nothing is missing.
 */
export function createNameBook({ db, locking, onFailure, moveCounts, waitMs = 20 }: NameBookDeps): NameBook {
  let pausedUntil = 0;
  const known = new LRUCache<string, Promise<UserNames>>({ max: REMEMBERED, ttl: REMEMBERED_MS });
  const look = async (id: string): Promise<UserNames> => {
    const { rows } = await sql<{ user_id: string; aliases: string[] }>`
      select target.user_id, array(select alias from recs.user_aliases where user_id = target.user_id order by alias) as aliases
      from (select coalesce((select user_id from recs.user_aliases where alias = ${id}), ${id}) as user_id) as target`.execute(db);
    const [row] = rows;
    return row ? { userId: row.user_id, all: [row.user_id, ...row.aliases] } : { userId: id, all: [id] };
  };
  return {
    async find(id) {
      if (performance.now() < pausedUntil) return { userId: id, all: [id] };
      const found = known.get(id) ?? look(id);
      known.set(id, found, { noUpdateTTL: true });
      try {
        return await within(waitMs, found, () => new Error(`Postgres did not answer within ${waitMs} ms`));
      } catch (error) {
        known.delete(id);
        pausedUntil = performance.now() + PAUSE_MS;
        onFailure(error);
        return { userId: id, all: [id] };
      }
    },
    async keep(merges) {
      try {
        for (const { from, to } of merges) {
          await keepMerge(locking, from, to);
          await moveCounts({ from, to });
        }
      } catch (error) {
        throw new SinkUnavailableError('a merge cannot be kept now', { cause: error });
      }
      known.clear();
    },
    // Names of names may have changed, too: whoever is asked for next looks again.
    forget: async () => known.clear(),
    forgetAll: () => known.clear(),
  };
}

/** `to` may have been merged by an event that came before this one: then its target counts. */
async function keepMerge(locking: RecsDb, from: string, to: string): Promise<void> {
  await locking.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended('millrace:recs:names', 0))`.execute(trx);
    const { rows } = await sql<{ user_id: string }>`select user_id from recs.user_aliases where alias = ${to}`.execute(trx);
    const userId = rows[0]?.user_id ?? to;
    if (userId === from) return;
    await sql`insert into recs.user_aliases (alias, user_id) values (${from}, ${userId}) on conflict (alias) do update set user_id = excluded.user_id`.execute(trx);
    await sql`update recs.user_aliases set user_id = ${userId} where user_id = ${from}`.execute(trx);
    await sql`update recs.rankings set user_id = ${userId} where user_id in (select alias from recs.user_aliases where user_id = ${userId})`.execute(trx);
  });
}
