import { productStreamVariables, publicHttpVariables, redisVariables, serviceVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z.object({
  ...serviceVariables,
  ...publicHttpVariables(8104),
  ...redisVariables,
  ...productStreamVariables,
  EVENT_INGEST_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
  CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (export)'),
  CONTEXT_TTL_SECONDS: z.coerce.number().int().min(1).max(86_400).default(900).describe('The live context of a user ends so long after its newest event, seconds'),
  EVENT_REDIS_TIMEOUT_MS: z.coerce.number().int().min(5).max(5_000).default(50).describe('An event that Redis has not taken by then goes to Postgres, milliseconds'),
  EVENT_BUS_TIMEOUT_MS: z.coerce.number().int().min(5).max(10_000).default(500).describe('With BUS_URL on another broker than Redis: an event that is not acknowledged and in its context by then goes to Postgres, milliseconds'),
  EVENT_DURABILITY: z
    .enum(['stream', 'always'])
    .default('stream')
    .describe('When an event is answered. stream: Redis has it (a crash of Redis and of this process within the same second may lose it); always: Postgres has its row, too'),
  EVENT_WRITER_BATCH_SIZE: z.coerce.number().int().min(1).max(1_000).default(500).describe('Events of one statement of the writer, which runs two at a time'),
  EVENT_INGEST_DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for advisory locks and LISTEN; default: EVENT_INGEST_DATABASE_URL'),
  USER_ERASURE_SECRET: z.string().min(32).optional().describe('At least 32 random characters, the same for event-ingest and recommender, for ever: erased users are recognised by HMACs made with it. Without it nobody can be erased'),
  ERASURE_PATIENCE_SECONDS: z.coerce.number().int().min(0).max(2_592_000).default(21_600).describe('Events of an erased user that a consumer has not acknowledged by then are removed all the same, seconds'),
  ERASURE_REPEAT_MS: z.coerce.number().int().min(100).max(600_000).default(10_000).describe('Services that have not answered an erasure are asked again so often, milliseconds; an old one a tenth of its age apart, five minutes at most'),
  EVENT_MAX_RETRIES: z.coerce.number().int().min(0).max(20).default(3).describe('Times that an event which Postgres refuses is tried again before it goes to the dead letters'),
  ANALYTICS_ENABLED: z.stringbool().default(true).describe('false: this instance answers what is counted and counts nothing itself; another one must'),
  ANALYTICS_ROLLUP_MS: z.coerce.number().int().min(50).max(60_000).default(2_000).describe('How often counts are rolled up from Redis into Postgres, milliseconds; each 6 s after it was sealed'),
  ANALYTICS_MINUTES_KEEP_HOURS: z.coerce.number().int().min(1).max(720).default(48).describe('How long counts by minute, and products by hour, are kept at least (whole days), hours'),
  ANALYTICS_HOURS_KEEP_DAYS: z.coerce.number().int().min(2).max(3_650).default(90).describe('How long counts by hour are kept, days'),
  ANALYTICS_DAYS_KEEP: z.coerce.number().int().min(0).max(36_500).default(0).describe('How long counts by day are kept, days; 0 = for ever'),
  LIVE_MAX_CLIENTS: z.coerce.number().int().min(0).max(10_000).default(100).describe('Clients of the live feed of this instance; more are refused'),
  QUARANTINE_MAX_ROWS: z.coerce.number().int().min(0).max(10_000_000).default(50_000).describe('Refused events that are kept at most, of at most 8 kB each; one key has at most half of them. 0 = none'),
  QUARANTINE_ROWS_PER_MINUTE: z.coerce.number().int().min(1).max(100_000).default(2_000).describe('Refused events of one API key that one instance keeps in a minute'),
});
export type Config = z.output<typeof configSchema>;
