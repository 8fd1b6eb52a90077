import { checkVectorStore, embeddedVariables, embeddingServiceVariables, productStreamVariables, rebuildVariables, reconcileVariables, redisVariables, serviceVariables, vectorVariables } from '@millrace/service';
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
    ...embeddingServiceVariables,
    EMBEDDING_PROVIDER: z.enum(['tfidf', 'openai']).default('tfidf').describe('What new vectors are made with: tfidf needs nothing; openai is any service with its API. Another choice rebuilds them'),
    OPENAI_EMBEDDING_MODEL: z.string().min(1).max(200).default('text-embedding-3-small').describe('Model of the service; another one rebuilds the vectors'),
    EMBEDDING_BATCH_SIZE: z.coerce.number().int().min(1).max(2_048).default(128).describe('Texts of one request'),
    EMBEDDING_TIMEOUT_MS: z.coerce.number().int().min(100).max(600_000).default(30_000).describe('Longest wait for the answer to one request, milliseconds'),
    EMBEDDING_WORKER_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    DATABASE_DIRECT_URL: z.url().optional().describe('The same database around a pooler, for the leader lock; default: EMBEDDING_WORKER_DATABASE_URL'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (export)'),
    VECTOR_DIMENSION: z.coerce.number().int().min(16).max(4_096).default(384).describe('Dimensions of the vectors; another number rebuilds them'),
    MODEL_FIT_MIN_PRODUCTS: z.coerce.number().int().min(500).default(500).describe('Below this many products every term weighs the same; fewer than 500 are noise'),
    MODEL_FIT_INTERVAL_MS: z.coerce.number().int().min(0).default(60_000).describe('Shortest time between two fits of the model, milliseconds'),
    MODEL_CHECK_INTERVAL_MS: z.coerce.number().int().min(50).default(2_000).describe('How often it is checked whether a fit is due, milliseconds'),
  })
  .superRefine(checkVectorStore)
  .superRefine((env, ctx) => {
    if (env.EMBEDDING_PROVIDER === 'openai' && env.OPENAI_API_KEY === undefined && new URL(env.OPENAI_BASE_URL).hostname.endsWith('openai.com'))
      ctx.addIssue({ code: 'custom', path: ['OPENAI_API_KEY'], message: 'required when EMBEDDING_PROVIDER is openai and OPENAI_BASE_URL is its own' });
  });
export type Config = z.output<typeof configSchema>;
