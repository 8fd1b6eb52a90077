import type { NewInteraction } from '@millrace/contracts';
import { FOREIGN_KEY_VIOLATION, isViolation } from '@millrace/database';
import { LRUCache } from 'lru-cache';
import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { SinkUnavailableError } from '@millrace/bus';
import { NOBODY_ERASED } from './erased-users.ts';
import type { ErasedUsers } from './erased-users.ts';
import type { MonthPartitions } from './month-partitions.ts';

/** An event with the id and the time that the door gave it. */
export type KnownInteraction = NewInteraction & { readonly meta: { readonly id: string; readonly timestamp: string } };

/**
 * Arrays of equal length: event ids, users, products, types, times, sessions, rankings, ratings, metadata, months; then users and products that may
 * need stubs; the erasures that the caller knows of; with `deferred` an array more, of whole events. Users are led to whom they were merged into. Rows are sorted, so that two batches never wait for each other in a circle.
 */
const insert = (isDeferred: boolean): string => `
with new_users as (
  insert into events.users (user_id)
  select distinct coalesce(alias.user_id, g.user_id) as id from unnest($11::text[]) as g(user_id) left join events.user_aliases alias on alias.alias = g.user_id order by id
  on conflict do nothing
), new_items as (
  insert into events.items (sku) select distinct sku from unnest($12::text[]) as g(sku) order by sku on conflict do nothing
)${isDeferred ? ', deferred as (insert into events.deferred_events (event) select * from unnest($14::text[]))' : ''}
insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, session_id, ranking_id, rating, metadata, month)
select event_id, coalesce(alias.user_id, g.user_id), asin, event_type::events.interaction_type, ts, session_id, ranking_id, rating, metadata::jsonb, month
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::real[], $9::text[], $10::date[])
  as g(event_id, user_id, asin, event_type, ts, session_id, ranking_id, rating, metadata, month)
left join events.user_aliases alias on alias.alias = g.user_id
where (select events.require_erasures($13::bigint))
order by month, event_id
on conflict do nothing`;

const INSERT = { name: 'insert-interactions', text: insert(false) };
const INSERT_DEFERRED = { name: 'insert-deferred-interactions', text: insert(true) };

/** Users and items that have rows, as far as this process knows: stubs are asked for only for others. Rows are not deleted; where one is, the foreign key says so. */
const KNOWN = 100_000;

const monthOf = ({ month }: KnownInteraction): string => `${month}-01`;

/** The product's category and brand are part of the stored metadata; what is not known is not written. */
function metadataOf({ metadata, category, brand }: KnownInteraction): string {
  return JSON.stringify({ ...metadata, ...(category !== null && { category }), ...(brand !== null && { brand }) });
}

function toColumns(events: readonly KnownInteraction[]): unknown[][] {
  return [
    events.map(({ meta }) => meta.id), events.map((event) => event.user_id), events.map((event) => event.asin), events.map((event) => event.type),
    events.map(({ meta }) => meta.timestamp), events.map((event) => event.session_id ?? null), events.map((event) => event.ranking_id ?? null),
    events.map((event) => event.rating ?? null), events.map(metadataOf), events.map(monthOf),
  ];
}

/** What Postgres says of the values themselves; anything else (away, full, locked) is no event's fault. */
const isRefusal = (error: unknown): boolean => error instanceof DatabaseError && /^(22|23|42)/.test(error.code ?? '');
const NO_PARTITION = '23514';
/** Of `events.require_erasures`: nothing was written, because users were erased that the writer did not know of. */
const UNKNOWN_ERASURE = 'MR410';
const MAX_ERASURES = 5;
const isUnknownErasure = (error: unknown): boolean => error instanceof DatabaseError && error.code === UNKNOWN_ERASURE;

export interface InteractionStore {
  /**
   * Writes each event once by (month, event id): repeating changes nothing. One statement, so all or nothing; but events of erased users are left out.
   * @throws DatabaseError where a value is refused, SinkUnavailableError where Postgres cannot be used now
   */
  insert(events: readonly KnownInteraction[]): Promise<void>;
  /** The same, and in the same transaction each event for the relay: Redis gets it later. */
  insertDeferred(events: readonly KnownInteraction[]): Promise<void>;
}

export function createInteractionStore(pool: Pool, partitions: MonthPartitions, erased: ErasedUsers = NOBODY_ERASED): InteractionStore {
  const users = new LRUCache<string, true>({ max: KNOWN });
  const items = new LRUCache<string, true>({ max: KNOWN });
  const runOnce = async (query: { readonly name: string; readonly text: string }, events: readonly KnownInteraction[], more: unknown[][]): Promise<void> => {
    const newUsers = events.map((event) => event.user_id).filter((id) => !users.has(id));
    const newItems = events.map((event) => event.asin).filter((sku) => !items.has(sku));
    await pool.query({ ...query, values: [...toColumns(events), newUsers, newItems, erased.version(), ...more] });
    for (const id of newUsers) users.set(id, true);
    for (const sku of newItems) items.set(sku, true);
  };
  const runTwice = (query: { readonly name: string; readonly text: string }, events: readonly KnownInteraction[], more: unknown[][]): Promise<void> =>
    runOnce(query, events, more).catch(async (error: unknown) => {
      if (!isViolation(error, FOREIGN_KEY_VIOLATION)) throw error;
      users.clear();
      items.clear();
      await runOnce(query, events, more);
    });
  const runKept = async (query: { readonly name: string; readonly text: string }, events: readonly KnownInteraction[], more: (kept: readonly KnownInteraction[]) => unknown[][]): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const kept = erased.keep(events);
      if (kept.length === 0) return;
      try {
        return await runTwice(query, kept, more(kept));
      } catch (error) {
        if (!isUnknownErasure(error) || tries === MAX_ERASURES) throw error;
        await erased.refresh();
      }
    }
  };
  const run = async (query: { readonly name: string; readonly text: string }, events: readonly KnownInteraction[], more: (kept: readonly KnownInteraction[]) => unknown[][] = () => []): Promise<void> => {
    try {
      await partitions.ensure(new Set(events.map(monthOf)));
      await runKept(query, events, more);
    } catch (error) {
      if (error instanceof DatabaseError && error.code === NO_PARTITION) partitions.forget();
      if (isRefusal(error)) throw error;
      throw new SinkUnavailableError('Postgres does not take interactions now', { cause: error });
    }
  };
  return {
    insert: (events) => run(INSERT, events),
    insertDeferred: (events) => run(INSERT_DEFERRED, events, (kept) => [kept.map((event) => JSON.stringify(event))]),
  };
}
