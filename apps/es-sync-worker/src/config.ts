import { checkSearchEngine, embeddedVariables, productStreamVariables, publicHttpVariables, rebuildVariables, reconcileVariables, redisVariables, searchVariables, serviceVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z
  .object({
    ...serviceVariables,
    ...publicHttpVariables(8103),
    ...redisVariables,
    ...productStreamVariables,
    ...reconcileVariables,
    ...rebuildVariables,
    ...embeddedVariables,
    ...searchVariables,
    ES_SYNC_WORKER_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the leader lock; default: ES_SYNC_WORKER_DATABASE_URL'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (export)'),
    GOLDEN_QUERIES_FILE: z.string().min(1).optional().describe('JSON file of queries whose products must be in the first 10 before an index goes live: [{"q": "…", "skus": ["…"]}]'),
    SYNC_SWEEP_INTERVAL_MS: z.coerce.number().int().min(500).max(3_600_000).default(20_000).describe('How often changes that the stream may have missed are looked for, milliseconds'),
    SYNC_SWEEP_OVERLAP_MS: z.coerce.number().int().min(0).max(86_400_000).default(60_000).describe('How far before the last completed sweep the next one begins, milliseconds'),
  })
  .superRefine(checkSearchEngine);
export type Config = z.output<typeof configSchema>;
