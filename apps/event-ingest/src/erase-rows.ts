import { userMerges } from '@millrace/contracts';
import type { PoolClient } from 'pg';
import { eraseQuarantine } from './quarantine.repository.ts';

/** Removes at most so many rows of these users; returns how many. */
export type EraseRows = (client: PoolClient, users: readonly string[]) => Promise<number>;

export interface RowStore {
  readonly store: string;
  readonly erase: EraseRows;
}

/** Rows of one statement: bounds its time. */
const MOST = 10_000;

const by = (statement: string): EraseRows => async (client, users) => (await client.query(statement, [users])).rowCount ?? 0;
const NAMES_MERGE = `stream = '${userMerges.name}' and (key = any($1::text[]) or data::jsonb ->> 'from' = any($1::text[]))`;

/** The tables of this service that hold what a user did or is called, in the order in which they can be emptied. Another one is one line more, here and in `userStores`. */
export const rowStores: readonly RowStore[] = [
  {
    store: 'events.interaction_logs',
    erase: by(`with theirs as (select month, event_id from events.interaction_logs where user_id = any($1::text[]) limit ${MOST})
      delete from events.interaction_logs as log using theirs where log.month = theirs.month and log.event_id = theirs.event_id`),
  },
  { store: 'events.deferred_events', erase: by(`delete from events.deferred_events where seq = any(array(select seq from events.deferred_events where event::jsonb ->> 'user_id' = any($1::text[]) limit ${MOST}))`) },
  { store: 'events.quarantine', erase: eraseQuarantine },
  { store: 'events.outbox', erase: by(`delete from events.outbox where ${NAMES_MERGE}`) },
  { store: 'events.outbox', erase: by(`delete from events.outbox_published where ${NAMES_MERGE}`) },
  { store: 'events.user_aliases', erase: by('delete from events.user_aliases where alias = any($1::text[]) or user_id = any($1::text[])') },
  { store: 'events.users', erase: by('delete from events.users where user_id = any($1::text[])') },
];

export interface ErasedRows {
  readonly erased: ReadonlyMap<string, number>;
  /** False: there may be more, in a transaction of its own. */
  readonly isAll: boolean;
}

/** As much as one transaction should do. Safe to repeat. */
export async function eraseRows(client: PoolClient, users: readonly string[]): Promise<ErasedRows> {
  const erased = new Map<string, number>();
  for (const { store, erase } of rowStores) {
    const rows = await erase(client, users);
    erased.set(store, (erased.get(store) ?? 0) + rows);
    if (rows >= MOST) return { erased, isAll: false };
  }
  return { erased, isAll: true };
}
