import type { EventMeta } from '@millrace/bus';
import { sql } from 'kysely';
import type { Kysely, QueryExecutorProvider, Transaction } from 'kysely';

/** The table that `onceByEventId` needs, for a migration of the service that owns the schema. */
export async function createInboxTable(db: QueryExecutorProvider, { schema }: { readonly schema: string }): Promise<void> {
  const table = sql.id(schema, 'handled_events');
  await sql`create table ${table} (
    consumer_group text not null,
    event_id text not null,
    handled_at timestamptz not null default now(),
    primary key (consumer_group, event_id)
  )`.execute(db);
  await sql`create index handled_events_age on ${table} using brin (handled_at)`.execute(db);
}

export interface InboxOptions {
  readonly schema: string;
  readonly group: string;
}

/**
 * Those of the events that the group has not handled yet, each id once, in their order; they are recorded as handled by the given
 * transaction. Make their effects in the same transaction: both commit or neither does, so each event has one effect however often it
 * is delivered (the inbox, or idempotent consumer, pattern). Two transactions with the same event: the second waits for the first.
 */
export async function onceByEventId<S, E extends { readonly meta: Pick<EventMeta, 'id'> }>(trx: Transaction<S>, { schema, group }: InboxOptions, events: readonly E[]): Promise<E[]> {
  if (events.length === 0) return [];
  // Sorted, so that two batches with the same events cannot wait for each other.
  const ids = [...new Set(events.map(({ meta }) => meta.id))].toSorted();
  const { rows } = await sql<{ event_id: string }>`
    insert into ${sql.id(schema, 'handled_events')} (consumer_group, event_id)
    select ${group}, id from unnest(${ids}::text[]) with ordinality as given(id, place) order by place
    on conflict do nothing returning event_id`.execute(trx);
  const fresh = new Set(rows.map(({ event_id: id }) => id));
  // Deleting: the same id twice in a batch counts once.
  return events.filter(({ meta }) => fresh.delete(meta.id));
}

/** Forgets what was handled longer ago than a replay can be (a dead letter lives 30 days from when it was parked); returns how many. For a schedule of the service. */
export async function forgetHandledEvents<S>(db: Kysely<S>, { schema, olderThanDays = 60 }: { readonly schema: string; readonly olderThanDays?: number }): Promise<number> {
  const { numAffectedRows } = await sql`delete from ${sql.id(schema, 'handled_events')} where handled_at < now() - make_interval(days => ${olderThanDays})`.execute(db);
  return Number(numAffectedRows ?? 0);
}
