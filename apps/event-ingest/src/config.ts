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
  EVENT_WRITER_BATCH_SIZE: z.coerce.number().int().min(1).max(1_000).default(500).describe('Events that are written to Postgres at once'),
  EVENT_MAX_RETRIES: z.coerce.number().int().min(0).max(20).default(3).describe('Times that an event which Postgres refuses is tried again before it goes to the dead letters'),
  ANALYTICS_ENABLED: z.stringbool().default(true).describe('false: this instance answers what is counted and counts nothing itself; another one must'),
  ANALYTICS_ROLLUP_MS: z.coerce.number().int().min(50).max(60_000).default(2_000).describe('How often counts are rolled up from Redis into Postgres, milliseconds; each 6 s after it was sealed'),
  ANALYTICS_MINUTES_KEEP_HOURS: z.coerce.number().int().min(1).max(720).default(48).describe('How long counts by minute, and products by hour, are kept at least (whole days), hours'),
  ANALYTICS_HOURS_KEEP_DAYS: z.coerce.number().int().min(2).max(3_650).default(90).describe('How long counts by hour are kept, days'),
  ANALYTICS_DAYS_KEEP: z.coerce.number().int().min(0).max(36_500).default(0).describe('How long counts by day are kept, days; 0 = for ever'),
  LIVE_MAX_CLIENTS: z.coerce.number().int().min(0).max(10_000).default(100).describe('Clients of the live feed of this instance; more are refused'),
});
export type Config = z.output<typeof configSchema>;
