import { SEARCH_COUNT_DAYS } from '@millrace/contracts';
import type { SearchCountsBody } from '@millrace/contracts';
import { sql } from 'kysely';
import type { CatalogDb, CatalogTrx } from './database.ts';
import { isoTime } from './iso-time.ts';

export interface SearchCount {
  /** ISO 8601, in UTC. */
  readonly day: string;
  /** Normalised; '' = any other query of the day. */
  readonly query: string;
  readonly searches: number;
  readonly noHits: number;
  /** ISO 8601. */
  readonly lastAt: string;
}

/** Adds to what is stored. Writers that wait for each other do so in one order, whatever the order of `counts`; each (day, query) may be there once. */
export async function addSearchCounts(trx: CatalogTrx, counts: readonly SearchCount[]): Promise<void> {
  if (counts.length === 0) return;
  const sorted = counts.toSorted((a, b) => (`${a.day} ${a.query}` < `${b.day} ${b.query}` ? -1 : 1));
  await sql`
    insert into catalog.search_counts as stored (day, query, searches, no_hits, last_at)
    select * from unnest(${sorted.map(({ day }) => day)}::date[], ${sorted.map(({ query }) => query)}::text[], ${sorted.map(({ searches }) => searches)}::bigint[],
      ${sorted.map(({ noHits }) => noHits)}::bigint[], ${sorted.map(({ lastAt }) => lastAt)}::timestamptz[])
    on conflict (day, query) do update set searches = stored.searches + excluded.searches, no_hits = stored.no_hits + excluded.no_hits,
      last_at = greatest(stored.last_at, excluded.last_at)`.execute(trx);
}

/** Which of the day's queries are counted already, and how many there are in all. */
export async function findCounted(trx: CatalogTrx, day: string, queries: readonly string[]): Promise<{ readonly known: ReadonlySet<string>; readonly distinct: number }> {
  const { rows } = await sql<{ query: string }>`select query from catalog.search_counts where day = ${day} and query = any(${queries}::text[])`.execute(trx);
  const known = new Set(rows.map(({ query }) => query));
  if (queries.every((query) => known.has(query))) return { known, distinct: known.size };
  const counted = await sql<{ distinct: number }>`select count(*) as distinct from catalog.search_counts where day = ${day}`.execute(trx);
  return { known, distinct: counted.rows[0]?.distinct ?? 0 };
}

export interface CountsWanted {
  readonly days: number;
  readonly limit: number;
  /** Only queries that found nothing at least once, by how often. */
  readonly withoutHits: boolean;
}

/** The commonest queries of the last days, today (UTC) included; of equally common ones the first by letters. */
export async function readSearchCounts(db: CatalogDb, { days, limit, withoutHits }: CountsWanted): Promise<SearchCountsBody> {
  const since = sql`day > (now() at time zone 'UTC')::date - ${days}::int`;
  const [counts, others] = await Promise.all([
    sql<SearchCountsBody['data'][number]>`
      select query, searches::bigint as searches, no_hits::bigint as no_hits, ${isoTime('last_at')} as last_at
      from (select query, sum(searches) as searches, sum(no_hits) as no_hits, max(last_at) as last_at from catalog.search_counts where ${since} and query <> '' group by query) of_days
      ${withoutHits ? sql`where no_hits > 0 order by no_hits desc, query` : sql`order by searches desc, query`} limit ${limit}`.execute(db),
    sql<{ searches: number }>`select coalesce(sum(searches), 0)::bigint as searches from catalog.search_counts where ${since} and query = ''`.execute(db),
  ]);
  return { data: counts.rows, days, other_searches: others.rows[0]?.searches ?? 0 };
}

export async function purgeSearchCounts(db: CatalogDb): Promise<void> {
  await sql`delete from catalog.search_counts where day <= (now() at time zone 'UTC')::date - ${SEARCH_COUNT_DAYS}::int`.execute(db);
}
