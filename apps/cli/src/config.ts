import { z } from 'zod';

/** Variables of the command line; none is required: a local stack is found by itself. */
export const configSchema = z.object({
  MILLRACE_URL: z.url().optional().describe('The gateway; default: the local stack, else http://127.0.0.1:8080'),
  MILLRACE_API_KEY: z.string().optional().describe("API key; default: the local stack's development key"),
  MILLRACE_STACK_FILE: z.string().optional().describe('Where npm start describes the local stack'),
  DATABASE_URL: z.url().optional().describe('Postgres as its owner: for migrate and keys only; default for keys: that of the local stack (POSTGRES_HOST/DB/USER/PASSWORD are accepted too)'),
  UT360_LOOKUP_DATABASE_URL: z.url().optional().describe('Postgres as the role of ut360-lookup: for ut360 only; default: the local stack'),
  DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for ut360 only; default: UT360_LOOKUP_DATABASE_URL'),
  UT360_REDIS_URL: z.url({ protocol: /^rediss?(-cluster|-sentinel)?$/ }).optional().describe('Redis of subscribers, for ut360 only; default: the local stack'),
  UT360_DROP_RECOMMENDATIONS: z.string().min(1).optional().describe('Name of the file of recommendations in a drop folder, for ut360 load --drop-dir; default: recommendations_final_filtered.csv'),
  UT360_DROP_PROFILES: z.string().min(1).optional().describe('The same of profiles; default: subscriber_360_profile.parquet'),
  UT360_DROP_ARPU: z.string().min(1).optional().describe('The same of monthly ARPU; default: subscriber_monthly_summary.parquet'),
  UT360_KEEP_GENERATIONS: z.coerce.number().int().min(0).max(10).default(1).describe('Generations of subscribers before the live one that a load keeps for a rollback'),
  UT360_ERASURE_SECRET: z.string().min(32).optional().describe('The same as that of ut360-lookup, for ut360 only: who was erased is recognised by it; default: the local stack'),
  MILLRACE_ROLES_FILE: z.string().default('.local/roles.env').describe('Where migrate writes the <APP>_DATABASE_URL of each service (mode 0600)'),
});
export type Config = z.output<typeof configSchema>;
