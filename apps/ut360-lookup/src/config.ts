import { publicHttpVariables, serviceVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z.object({
  ...serviceVariables,
  ...publicHttpVariables(8106),
  UT360_LOOKUP_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
  DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the lock of loads; default: UT360_LOOKUP_DATABASE_URL'),
  DATABASE_REPLICA_URL: z.url().optional().describe('A read replica of the same database, for what Redis cannot answer; used only while it has the generation that is asked for'),
  UT360_REDIS_URL: z.url({ protocol: /^rediss?(-cluster|-sentinel)?$/ }).default('redis://127.0.0.1:6379').describe('Redis of subscribers (noeviction), forms as of REDIS_URL'),
  UT360_KEEP_GENERATIONS: z.coerce.number().int().min(0).max(10).default(1).describe('Generations before the live one that are kept for a rollback'),
  UT360_QUERY_TIMEOUT_MS: z.coerce.number().int().min(50).max(60_000).default(2_000).describe('Longest query of a lookup that Redis cannot answer, milliseconds'),
  UT360_PII_DAILY_QUOTA: z.coerce.number().int().min(0).max(1_000_000_000).default(10_000).describe('Unmasked ISDNs that one key may read a day (UTC)'),
  UT360_ERASURE_SECRET: z.string().min(32).optional().describe('At least 32 random characters, the same for ut360-lookup and whoever loads, for ever: erased subscribers are recognised by HMACs made with it. Without it nobody can be erased'),
  UT360_CHECK_MS: z.coerce.number().int().min(100).max(3_600_000).default(10_000).describe('How often it is looked whether Redis has the live generation, and for generations that may go, milliseconds'),
});
export type Config = z.output<typeof configSchema>;
