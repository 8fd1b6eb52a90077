import type { NewInteraction } from '@millrace/contracts';
import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { SinkUnavailableError } from '@millrace/bus';
import type { MonthPartitions } from './month-partitions.ts';

/** An event with the id and the time that the door gave it. */
export type KnownInteraction = NewInteraction & { readonly meta: { readonly id: string; readonly timestamp: string } };

/**
 * Arrays of equal length: event ids, users, products, types, times, sessions, rankings, ratings, metadata, months; with `deferred` one more, of whole
 * events. Users are led to whom they were merged into; unknown users and items get stubs. Rows are sorted, so that two batches never wait for each other in a circle.
 */
const insert = (isDeferred: boolean): string => `
with given as (
  select event_id, coalesce(alias.user_id, g.user_id) as user_id, asin, event_type, ts, session_id, ranking_id, rating, metadata, month${isDeferred ? ', event' : ''}
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::real[], $9::text[], $10::date[]${isDeferred ? ', $11::text[]' : ''})
    as g(event_id, user_id, asin, event_type, ts, session_id, ranking_id, rating, metadata, month${isDeferred ? ', event' : ''})
  left join events.user_aliases alias on alias.alias = g.user_id
), new_users as (
  insert into events.users (user_id)
  select distinct user_id from given where not exists (select 1 from events.users known where known.user_id = given.user_id) order by user_id
  on conflict do nothing
), new_items as (
  insert into events.items (sku)
  select distinct asin from given where not exists (select 1 from events.items known where known.sku = given.asin) order by asin
  on conflict do nothing
)${isDeferred ? ', deferred as (insert into events.deferred_events (event) select event from given)' : ''}
insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, session_id, ranking_id, rating, metadata, month)
select event_id, user_id, asin, event_type::events.interaction_type, ts, session_id, ranking_id, rating, metadata::jsonb, month from given order by month, event_id
on conflict do nothing`;

const INSERT = { name: 'insert-interactions', text: insert(false) };
const INSERT_DEFERRED = { name: 'insert-deferred-interactions', text: insert(true) };

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

async function run(pool: Pool, partitions: MonthPartitions, events: readonly KnownInteraction[], query: { readonly name: string; readonly text: string; readonly values: unknown[] }): Promise<void> {
  try {
    await partitions.ensure(new Set(events.map(monthOf)));
    await pool.query(query);
  } catch (error) {
    if (error instanceof DatabaseError && error.code === NO_PARTITION) partitions.forget();
    if (isRefusal(error)) throw error;
    throw new SinkUnavailableError('Postgres does not take interactions now', { cause: error });
  }
}

/**
 * Writes each event once by (month, event id): repeating changes nothing. One statement, so all or nothing.
 * @throws DatabaseError where a value is refused, SinkUnavailableError where Postgres cannot be used now
 */
export const insertInteractions = (pool: Pool, partitions: MonthPartitions, events: readonly KnownInteraction[]): Promise<void> =>
  run(pool, partitions, events, { ...INSERT, values: toColumns(events) });

/** The same, and in the same transaction each event for the relay: Redis gets it later. */
export const insertDeferred = (pool: Pool, partitions: MonthPartitions, events: readonly KnownInteraction[]): Promise<void> =>
  run(pool, partitions, events, { ...INSERT_DEFERRED, values: [...toColumns(events), events.map((event) => JSON.stringify(event))] });
