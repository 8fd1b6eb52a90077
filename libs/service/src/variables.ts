import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65_535);

/** Variables that every service has. Merge into its own schema: `z.object({ ...serviceVariables, … })`. */
export const serviceVariables = {
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development').describe('production refuses development keys'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Least severe level that is logged'),
  INTERNAL_HOST: z.string().default('127.0.0.1').describe('Address of the second port'),
  INTERNAL_PORT: port.default(0).describe('Second port, never public: /metrics, /healthz, /readyz, /internal; 0 = any free one'),
  INTERNAL_JWKS_FILE: z.string().describe('Public keys of all services (JWKS, kid = service name)'),
  INTERNAL_KEY_FILE: z.string().describe("This service's own private Ed25519 key (JWK)"),
};

/** Variables of a service with a public-API port. */
export const publicHttpVariables = (defaultPort: number) => ({
  HOST: z.string().default('127.0.0.1').describe('Address to listen on'),
  PORT: port.default(defaultPort).describe('Port to listen on'),
});

/** The bus and state Redis. */
export const redisVariables = {
  REDIS_URL: z.url({ protocol: /^rediss?(-cluster|-sentinel)?$/ }).default('redis://127.0.0.1:6379').describe('Redis of the bus and of state (noeviction): redis://, rediss://, redis-cluster://host:port?node=host:port, redis-sentinel://host:port?node=host:port&sentinelServiceName=name; REDIS_HOST/PORT/PASSWORD/DB are accepted too'),
  BUS_PARTITIONS: z.string().regex(/^[^=,\s]+=[1-9]\d{0,2}(,[^=,\s]+=[1-9]\d{0,2})*$/, 'must be a list such as product:updates=4,searches=2').optional().describe('Partitions of topics, the same for every service: product:updates=4,searches=2. A topic with another number in Redis refuses this service (millrace streams repartition). Default: whatever a topic has, one for a new one'),
};

/** Settings of a consumer of `product:updates`. */
export const productStreamVariables = {
  PRODUCT_STREAM_BATCH_SIZE: z.coerce.number().int().min(1).max(1_000).default(64).describe('Entries read and handled at once'),
  PRODUCT_STREAM_BLOCK_MS: z.coerce.number().int().min(10).max(5_000).default(2_000).describe('Longest wait of one read, milliseconds'),
  PRODUCT_STREAM_CLAIM_IDLE_MS: z.coerce.number().int().min(20).max(3_600_000).default(30_000).describe("Another consumer's entries are taken over after this many idle milliseconds"),
  PRODUCT_STREAM_CONSUMER: z.string().min(1).max(200).optional().describe('Consumer name, stable per replica; default: the host name'),
};

/** Verification of a store against the catalogue. */
export const reconcileVariables = {
  RECONCILE_INTERVAL_MS: z.coerce.number().int().min(0).default(300_000).describe('How often the store is compared with the catalogue and mended, milliseconds; 0 = never by itself'),
  RECONCILE_SETTLE_MS: z.coerce.number().int().min(0).max(600_000).default(30_000).describe('Differences are no drift while the consumer has a backlog; longest wait for it to end, milliseconds'),
};

/** Rebuilds of a store beside the live one. */
export const rebuildVariables = {
  REBUILD_KEEP_HOURS: z.coerce.number().min(0).max(8_760).default(24).describe('How long the store before a swap is kept for a rollback, hours'),
  REBUILD_CHECK_MS: z.coerce.number().int().min(50).max(60_000).default(1_000).describe('How often it is looked for a rebuild job, and whether one is due, milliseconds'),
};

/** Where the embedded engines (SQLite) keep their files; shared by the services of one host. */
export const embeddedVariables = {
  EMBEDDED_DATA_DIR: z.string().default('.local/embedded').describe('Folder of the embedded search index and vector store'),
  KUBERNETES_SERVICE_HOST: z.string().optional().describe('Set by Kubernetes: the embedded engines are for one host and refuse to start there'),
};

/** Search engine choice; refine with `checkSearchEngine`. */
export const searchVariables = {
  SEARCH_ENGINE: z.enum(['embedded', 'elasticsearch']).optional().describe('Default: elasticsearch where ELASTICSEARCH_URL is set, else embedded'),
  ELASTICSEARCH_URL: z.url().optional().describe('Elasticsearch 9 (ELASTIC_HOST is accepted too)'),
  ELASTICSEARCH_API_KEY: z.string().optional().describe('API key of Elasticsearch'),
  ELASTICSEARCH_CA_FILE: z.string().optional().describe('CA certificate (PEM) of Elasticsearch'),
  ELASTICSEARCH_INDEX: z.string().regex(/^[a-z][a-z0-9_-]{0,100}$/).default('products').describe('Alias of the live index'),
  ELASTICSEARCH_REFRESH_INTERVAL_MS: z.coerce.number().int().min(50).max(60_000).default(200).describe('Bounds how late a change is visible, milliseconds'),
};

/** Vector store choice; refine with `checkVectorStore`. */
export const vectorVariables = {
  VECTOR_STORE: z.enum(['embedded', 'qdrant']).optional().describe('Default: qdrant where QDRANT_URL is set, else embedded (VECTOR_STORE_TYPE is accepted too)'),
  QDRANT_URL: z.url().optional().describe('Qdrant'),
  QDRANT_API_KEY: z.string().optional().describe('API key of Qdrant'),
  QDRANT_COLLECTION: z.string().regex(/^[a-zA-Z0-9_-]{1,100}$/).default('products').describe('Alias of the live collection'),
};

type SearchChoice = { SEARCH_ENGINE?: string | undefined; ELASTICSEARCH_URL?: string | undefined; KUBERNETES_SERVICE_HOST?: string | undefined };
type VectorChoice = { VECTOR_STORE?: string | undefined; QDRANT_URL?: string | undefined; KUBERNETES_SERVICE_HOST?: string | undefined };

export const searchEngineOf = (env: SearchChoice): 'embedded' | 'elasticsearch' =>
  env.SEARCH_ENGINE === 'embedded' || (env.SEARCH_ENGINE === undefined && env.ELASTICSEARCH_URL === undefined) ? 'embedded' : 'elasticsearch';
export const vectorStoreOf = (env: VectorChoice): 'embedded' | 'qdrant' =>
  env.VECTOR_STORE === 'embedded' || (env.VECTOR_STORE === undefined && env.QDRANT_URL === undefined) ? 'embedded' : 'qdrant';

/** For `superRefine`: the chosen engine has its address, and the embedded one is not used on Kubernetes. */
export function checkSearchEngine(env: SearchChoice, ctx: z.RefinementCtx): void {
  if (searchEngineOf(env) === 'elasticsearch' && env.ELASTICSEARCH_URL === undefined)
    ctx.addIssue({ code: 'custom', path: ['ELASTICSEARCH_URL'], message: 'required when SEARCH_ENGINE is elasticsearch' });
  if (searchEngineOf(env) === 'embedded' && env.KUBERNETES_SERVICE_HOST !== undefined)
    ctx.addIssue({ code: 'custom', path: ['SEARCH_ENGINE'], message: 'the embedded engine is for one host: use elasticsearch on Kubernetes' });
}

export function checkVectorStore(env: VectorChoice, ctx: z.RefinementCtx): void {
  if (vectorStoreOf(env) === 'qdrant' && env.QDRANT_URL === undefined)
    ctx.addIssue({ code: 'custom', path: ['QDRANT_URL'], message: 'required when VECTOR_STORE is qdrant' });
  if (vectorStoreOf(env) === 'embedded' && env.KUBERNETES_SERVICE_HOST !== undefined)
    ctx.addIssue({ code: 'custom', path: ['VECTOR_STORE'], message: 'the embedded store is for one host: use qdrant on Kubernetes' });
}
