import { checkVectorStore, embeddedVariables, publicHttpVariables, redisVariables, serviceVariables, vectorVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z
  .object({
    ...serviceVariables,
    ...publicHttpVariables(8105),
    ...redisVariables,
    ...embeddedVariables,
    ...vectorVariables,
    RECOMMENDER_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (export)'),
    EVENT_INGEST_INTERNAL_URL: z.url().default('http://127.0.0.1:8204').describe('Second port of event-ingest (export of interactions)'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the lock of rebuilds; default: RECOMMENDER_DATABASE_URL'),
    COUNT_REBUILD_AT: z.string().regex(/^(off|([01]\d|2[0-3]):[0-5]\d)$/, 'must be HH:MM in UTC, or off').default('03:30').describe('When the counts are rebuilt from the log each night, HH:MM in UTC; off: never by the clock'),
    INTERACTION_BATCH_SIZE: z.coerce.number().int().min(1).max(500).default(64).describe('Events of one script that counts'),
    INTERACTION_CLAIM_IDLE_MS: z.coerce.number().int().min(20).max(3_600_000).default(30_000).describe("Another consumer's entries are taken over after this many idle milliseconds"),
    COUNT_TTL_DAYS: z.coerce.number().int().min(1).max(3_650).default(365).describe('Counts of a user, and neighbours of an item, are forgotten when nothing was added for so long, days'),
    SIMILAR_TIMEOUT_MS: z.coerce.number().int().min(1).max(1_000).default(20).describe('Longest wait for similar products, milliseconds; a list is made without them then'),
    USER_ERASURE_SECRET: z.string().min(32).optional().describe('The same as that of event-ingest: erased users are recognised by HMACs made with it. Without it erasing a user waits for this service'),
    RANKING_KEEP_DAYS: z.coerce.number().int().min(1).max(3_650).default(30).describe('How long served lists and impressions are kept, days'),
    EXPERIMENT_KEEP_DAYS: z.coerce.number().int().min(1).max(3_650).default(180).describe('How long lists, clicks and purchases that count in experiments are kept, days'),
  })
  .superRefine(checkVectorStore);
export type Config = z.output<typeof configSchema>;
