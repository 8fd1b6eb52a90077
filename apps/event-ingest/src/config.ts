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
  QUARANTINE_MAX_ROWS: z.coerce.number().int().min(0).max(10_000_000).default(50_000).describe('Refused events that are kept at most, of at most 8 kB each; one key has at most half of them. 0 = none'),
  QUARANTINE_ROWS_PER_MINUTE: z.coerce.number().int().min(1).max(100_000).default(2_000).describe('Refused events of one API key that one instance keeps in a minute'),
});
export type Config = z.output<typeof configSchema>;
