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
});

/**
 * The search log: one event for each search (its first page), published behind the answer. May lose events, never delays a search. About the
 * newest 100,000 that are not read yet are kept; what every group has acknowledged goes within seconds.
 */
export const searches = defineTopic(
  'searches',
  { executed },
  { schemaVersion: 1, maxLength: 100_000, isPersonal: true, keyField: 'user', keyOf: (event) => event.user ?? event.meta.id },
);
export type SearchEvent = EventOf<typeof searches>;
