import { checkVectorStore, embeddedVariables, productStreamVariables, rebuildVariables, reconcileVariables, redisVariables, serviceVariables, vectorVariables } from '@millrace/service';
import { z } from 'zod';

export const configSchema = z
  .object({
    ...serviceVariables,
    ...redisVariables,
    ...productStreamVariables,
    ...reconcileVariables,
    ...rebuildVariables,
    ...embeddedVariables,
    ...vectorVariables,
    EMBEDDING_WORKER_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the leader lock; default: EMBEDDING_WORKER_DATABASE_URL'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (export)'),
    VECTOR_DIMENSION: z.coerce.number().int().min(16).max(4_096).default(384).describe('Dimensions of the vectors; another number rebuilds them'),
    MODEL_FIT_MIN_PRODUCTS: z.coerce.number().int().min(500).default(500).describe('Below this many products every term weighs the same; fewer than 500 are noise'),
    MODEL_FIT_INTERVAL_MS: z.coerce.number().int().min(0).default(60_000).describe('Shortest time between two fits of the model, milliseconds'),
    MODEL_CHECK_INTERVAL_MS: z.coerce.number().int().min(50).default(2_000).describe('How often it is checked whether a fit is due, milliseconds'),
  })
  .superRefine(checkVectorStore);
export type Config = z.output<typeof configSchema>;
