import type { BatchHandler } from '@millrace/bus';
import { searchesIn } from '@millrace/contracts';
import type { SearchEvent } from '@millrace/contracts';
import { onceByEventId } from '@millrace/outbox';
import type { CatalogDb, CatalogTrx } from './database.ts';
import { addSearchCounts, findCounted } from './search-count.repository.ts';
import type { SearchCount } from './search-count.repository.ts';

/** Different queries of a day that are counted each; about, where several instances count. */
const DISTINCT_A_DAY = 10_000;
const OTHERS = '';
export const SEARCH_COUNTS_GROUP = 'search-counts';

/** What counts as the same query: case and spaces do not matter; accents do. */
export const normaliseQuery = (query: string): string => query.normalize('NFC').toLowerCase().replaceAll(/\s+/g, ' ').trim();

/** By day and query. Searches without words, and those that no index answered, say nothing of what people look for. */
export function sumSearches(events: readonly SearchEvent[]): readonly SearchCount[] {
  const sums = new Map<string, SearchCount>();
  for (const event of events) {
    const { query: typed, degraded, hits, meta } = event;
    const query = normaliseQuery(typed);
    if (query === '' || degraded) continue;
    const at = new Date(meta.timestamp).toISOString();
    const day = at.slice(0, 10);
    const searches = searchesIn(event);
    add(sums, { day, query, searches, noHits: hits === 0 ? searches : 0, lastAt: at });
  }
  return [...sums.values()];
}

function add(sums: Map<string, SearchCount>, { day, query, searches, noHits, lastAt }: SearchCount): void {
  const key = `${day} ${query}`;
  const sum = sums.get(key);
  sums.set(key, { day, query, searches: (sum?.searches ?? 0) + searches, noHits: (sum?.noHits ?? 0) + noHits, lastAt: sum && sum.lastAt > lastAt ? sum.lastAt : lastAt });
}

/** Keeps the counts; queries that are new on a day with too many different ones are counted together. */
async function withinBounds(trx: CatalogTrx, counts: readonly SearchCount[], most: number): Promise<readonly SearchCount[]> {
  const sums = new Map<string, SearchCount>();
  for (const [day, ofDay] of Map.groupBy(counts, (count) => count.day)) {
    const { known, distinct } = await findCounted(trx, day, ofDay.map(({ query }) => query));
    let room = Math.max(0, most - distinct);
    for (const count of ofDay) {
      const isCounted = known.has(count.query) || room-- > 0;
      add(sums, isCounted ? count : { ...count, query: OTHERS });
    }
  }
  return [...sums.values()];
}

/** Counts each event once by its id, however often it is delivered: the count and the id are one transaction. */
export const countSearches =
  (db: CatalogDb, { distinctADay = DISTINCT_A_DAY } = {}): BatchHandler<SearchEvent> =>
  (events) =>
    db.transaction().execute(async (trx) => {
      const fresh = await onceByEventId(trx, { schema: 'catalog', group: SEARCH_COUNTS_GROUP }, events);
      await addSearchCounts(trx, await withinBounds(trx, sumSearches(fresh), distinctADay));
    });
