import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const common = { service: 'catalog-api', scope: 'admin', method: 'get' } as const;
/** Days for which searches are counted. */
export const SEARCH_COUNT_DAYS = 90;

const query = z.strictObject({
  days: z.coerce.number().int().min(1).max(SEARCH_COUNT_DAYS).default(7).meta({ description: 'Today and the days before it, in UTC' }),
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
});

export const searchCountsSchema = z
  .object({
    data: z.array(z.object({
      query: z.string().meta({ description: 'In lower case, with single spaces; what looks like an e-mail address or a long number is masked' }),
      searches: z.int(),
      no_hits: z.int().meta({ description: 'How many of them found nothing' }),
      last_at: z.string().meta({ description: 'When it was last searched for' }),
    })),
    days: z.int(),
    other_searches: z.int().meta({ description: 'Searches of days that had too many different queries to count each' }),
  })
  .meta({ id: 'SearchCounts' });
export type SearchCountsBody = z.output<typeof searchCountsSchema>;

const example = (searches: number, noHits: number): SearchCountsBody => ({ data: [{ query: 'tai nghe', searches, no_hits: noHits, last_at: '2026-11-02T08:00:00.000000Z' }], days: 7, other_searches: 0 });
const description = 'By the search log: some seconds late, first pages only, searches without words and those while the index was down are left out. A lost event is a search that is not counted.';

export const popularSearches = defineOperation({
  ...common, operationId: 'popularSearches', path: '/api/admin/searches/popular', summary: 'What is searched for most', description, query,
  responses: { 200: { description: 'Most searched first', schema: searchCountsSchema, example: example(120, 0) } },
});
export const searchesWithoutHits = defineOperation({
  ...common, operationId: 'searchesWithoutHits', path: '/api/admin/searches/no-hits', summary: 'What is searched for and not found', description, query,
  responses: { 200: { description: 'Most often without a hit first', schema: searchCountsSchema, example: example(31, 30) } },
});

export const searchCountOperations = [popularSearches, searchesWithoutHits] as const;
