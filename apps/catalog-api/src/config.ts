import { currencySchema } from '@millrace/contracts';
import { checkSearchEngine, checkVectorStore, embeddedVariables, embeddingServiceVariables, publicHttpVariables, redisVariables, searchVariables, serviceVariables, vectorVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z
  .object({
    ...serviceVariables,
    ...publicHttpVariables(8101),
    ...redisVariables,
    ...embeddedVariables,
    ...searchVariables,
    ...vectorVariables,
    ...embeddingServiceVariables,
    SEARCH_TIMEOUT_MS: z.coerce.number().int().min(10).max(60_000).default(2_000).describe('Longest wait for one answer of the search engine, milliseconds; then the answer is degraded'),
    QUERY_EMBEDDING_TIMEOUT_MS: z.coerce.number().int().min(20).max(60_000).default(1_000).describe("Longest wait for the vector of a search's words where a service makes them, milliseconds; the search goes on without"),
    QUERY_VECTOR_CACHE: z.coerce.number().int().min(1).max(1_000_000).default(5_000).describe('Vectors of searched words that are remembered; each takes four bytes a dimension'),
    HYBRID_MIN_SIMILARITY: z.coerce.number().min(-1).max(1).default(0.2).describe("Products less similar than this to a search's words are not found by vector, where a service makes the vectors; each model has its own"),
    CATALOG_API_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for advisory locks and LISTEN; default: CATALOG_API_DATABASE_URL'),
    DATABASE_POOL_SIZE: z.coerce.number().int().min(1).max(100).default(8).describe('Connections for writes; reads have as many of their own'),
    DEFAULT_CURRENCY: currencySchema.default('USD').describe('ISO 4217 currency of products and searches that name none'),
    SIMILARITY_THRESHOLD: z.coerce.number().min(-1).max(1).default(0.75).describe('min_score of similar products where the caller gives none'),
    SEARCH_HYBRID: z.stringbool().default(false).describe('Fuse the ranks of words and vectors where a search does not say (hybrid=): on or off'),
    RECOMMENDER_INTERNAL_URL: z.url().default('http://127.0.0.1:8205').describe('Second port of recommender: searches with personalize=true'),
    RELEVANCE_POLL_MS: z.coerce.number().int().min(100).max(60_000).default(2_000).describe('How often each instance asks Postgres for new synonyms and rules, whatever the bus does, milliseconds'),
    USER_PSEUDONYM_SECRET: z.string().min(32).optional().describe('At least 32 random characters: the search log has pseudonyms of users (X-User-Id) made with it; without it no users at all. Another secret cuts the tie to what was logged'),
    PRODUCT_STREAM_RETENTION_KEEP: z.coerce.number().int().min(0).default(10_000).describe('Entries that stay on product:updates after every group has acknowledged them'),
    RELAY_POLL_MS: z.coerce.number().int().min(10).max(60_000).default(100).describe('Safety net of the outbox relay where a wake-up was lost, milliseconds'),
  })
  .superRefine((env, ctx) => {
    checkSearchEngine(env, ctx);
    checkVectorStore(env, ctx);
  });
export type Config = z.output<typeof configSchema>;
