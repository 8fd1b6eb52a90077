import { publicHttpVariables, redisVariables, serviceVariables } from '@millrace/service';
import { z } from 'zod';
import { cacheVariables } from './cache/cache-variables.ts';
import { checkTokenVariables, tokenVariables } from './keys/open-tokens.ts';
import { limitVariables } from './limits/config.ts';
import { planVariables } from './plans/plan-variables.ts';
import { resilienceVariables } from './resilience/resilience-variables.ts';

const REFUSED = 'must not be set under NODE_ENV=production';

export const configSchema = z
  .object({
    ...serviceVariables,
    ...publicHttpVariables(8080),
    ...redisVariables,
    ...cacheVariables,
    ...limitVariables,
    ...resilienceVariables,
    ...planVariables,
    GATEWAY_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the leader lock; default: GATEWAY_DATABASE_URL'),
    ...tokenVariables,
    CATALOG_API_URL: z.url().default('http://127.0.0.1:8101').describe('Public-API port of catalog-api'),
    ES_SYNC_WORKER_URL: z.url().default('http://127.0.0.1:8103').describe('Public-API port of es-sync-worker'),
    EVENT_INGEST_URL: z.url().default('http://127.0.0.1:8104').describe('Public-API port of event-ingest'),
    RECOMMENDER_URL: z.url().default('http://127.0.0.1:8105').describe('Public-API port of recommender'),
    POS_URL: z.url().default('http://127.0.0.1:8107').describe('Public-API port of pos'),
    MCP_URL: z.url().default('http://127.0.0.1:8108').describe('Public-API port of mcp'),
    UT360_LOOKUP_URL: z.url().default('http://127.0.0.1:8106').describe('Public-API port of ut360-lookup'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (trace)'),
    ES_SYNC_WORKER_INTERNAL_URL: z.url().default('http://127.0.0.1:8203').describe('Second port of es-sync-worker (trace, drift, rebuilds)'),
    EMBEDDING_WORKER_INTERNAL_URL: z.url().default('http://127.0.0.1:8202').describe('Second port of embedding-worker (trace, drift, rebuilds)'),
    SESSION_TTL_SECONDS: z.coerce.number().int().min(60).max(2_592_000).default(86_400).describe('A session ends so long after its last use'),
    CORS_ORIGINS: z
      .string()
      .default('')
      .transform((text) => text.split(',').map((origin) => origin.trim()).filter(Boolean))
      .describe('Origins that browsers may call from, separated by commas; none by default'),
    DEVELOPMENT_KEY_FILE: z.string().optional().describe("File with this installation's development key (npm start makes it); refused under NODE_ENV=production"),
    DEVELOPMENT_PUBLISHABLE_KEY_FILE: z.string().optional().describe('The same of the key for pages of this machine (localhost)'),
  })
  .refine((env) => env.NODE_ENV !== 'production' || env.DEVELOPMENT_KEY_FILE === undefined, { path: ['DEVELOPMENT_KEY_FILE'], message: REFUSED })
  .refine((env) => env.NODE_ENV !== 'production' || env.DEVELOPMENT_PUBLISHABLE_KEY_FILE === undefined, { path: ['DEVELOPMENT_PUBLISHABLE_KEY_FILE'], message: REFUSED })
  .superRefine(checkTokenVariables);
export type Config = z.output<typeof configSchema>;
