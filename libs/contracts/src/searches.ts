import { defineTopic } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';

/** The search's filters as the caller gave them; absent = not filtered. Prices are decimal text in `currency`. */
export const searchFiltersSchema = z.object({
  category: z.string().optional(),
  brand: z.string().optional(),
  merchant_id: z.int().optional(),
  min_price: z.string().optional(),
  max_price: z.string().optional(),
  currency: z.string(),
  in_stock: z.boolean().optional(),
  sort: z.enum(['relevance', 'price_asc', 'price_desc', 'newest']),
});

const executed = z.object({
  query: z.string().meta({ description: 'As typed, up to 200 characters; what looks like an e-mail address or a long number is masked. Empty: no words' }),
  filters: searchFiltersSchema,
  hits: z.int().nonnegative().meta({ description: 'Products that matched' }),
  ms: z.number().nonnegative().meta({ description: 'Milliseconds until the answer was made' }),
  user: z.string().nullable().meta({ description: 'Pseudonym: the same for one user, and useless without the secret. null: the caller named no user' }),
  degraded: z.boolean().meta({ description: 'true: the index was down; hits say nothing then' }),
  times: z.int().positive().optional().meta({ description: 'So many searches of nobody in particular, alike and answered from a cache within about a second; ms is their mean. Absent: one' }),
});

/** How many searches an event stands for. */
export const searchesIn = ({ times = 1 }: { readonly times?: number | undefined }): number => times;

/**
 * Header of an answer to a search, between services: what the search log says of it, as ASCII JSON, so that whoever gives the same answer again from a
 * cache can log that, too. Only where the search is logged: a first page. Never leaves the gateway.
 */
export const LOGGED_SEARCH_HEADER = 'x-logged-search';
const loggedSearchSchema = executed.pick({ query: true, filters: true, hits: true, degraded: true });
export type LoggedSearch = z.output<typeof loggedSearchSchema>;

export const encodeLoggedSearch = (search: LoggedSearch): string => JSON.stringify(search).replaceAll(/[\u007F-\uFFFF]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
/** undefined: it is not in the form that this version knows. */
export function decodeLoggedSearch(header: string): LoggedSearch | undefined {
  try {
    return loggedSearchSchema.safeParse(JSON.parse(header)).data;
  } catch {
    return undefined;
  }
}

/**
 * The search log: one event for each search (its first page), published behind the answer; searches that a cache answered are counted together
 * (`times`). May lose events, never delays a search. About the
 * newest 100,000 that are not read yet are kept; what every group has acknowledged goes within seconds.
 */
export const searches = defineTopic(
  'searches',
  { executed },
  { schemaVersion: 1, maxLength: 100_000, isPersonal: true, keyField: 'user', keyOf: (event) => event.user ?? event.meta.id },
);
export type SearchEvent = EventOf<typeof searches>;
