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
  RECONCILE_INTERVAL_MS: z.coerce.number().int().min(0).max(86_400_000).default(300_000).describe('How often the store is compared with the catalogue and mended, milliseconds; 0 = never by itself'),
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

const singleRedis = 'redis://, rediss:// or redis-sentinel://, database 0';

/** Vector store choice; refine with `checkVectorStore`. */
export const vectorVariables = {
  VECTOR_STORE: z.enum(['embedded', 'qdrant', 'redis']).optional().describe('Default: qdrant where QDRANT_URL is set, redis where VECTOR_REDIS_URL is, else embedded (VECTOR_STORE_TYPE is accepted too)'),
  QDRANT_URL: z.url().optional().describe('Qdrant'),
  QDRANT_API_KEY: z.string().optional().describe('API key of Qdrant'),
  QDRANT_COLLECTION: z.string().regex(/^[a-zA-Z0-9_-]{1,100}$/).default('products').describe('Alias of the live collection'),
  VECTOR_REDIS_URL: z.url({ protocol: /^rediss?(-sentinel)?$/, error: `must be ${singleRedis}; the search module of a cluster works otherwise` }).optional().describe(`Redis with its search module (FT.CREATE): ${singleRedis}. Default, where VECTOR_STORE is redis: REDIS_URL`),
  VECTOR_INDEX_NAME: z.string().regex(/^[\w.:-]{1,100}$/).default('product:vectors').describe('Alias of the live index in Redis'),
  VECTOR_ALIAS_KEYS: z.stringbool().default(false).describe('Also keep product:embedding:<sku> in Redis, for readers that know no model'),
  HNSW_M: z.coerce.number().int().min(2).max(512).default(16).describe('Neighbours of a vector in the graph of an index made in Redis from now on'),
  HNSW_EF_CONSTRUCTION: z.coerce.number().int().min(4).max(4_096).default(200).describe('Candidates that are looked at where a vector is added to it'),
  HNSW_EF_RUNTIME: z.coerce.number().int().min(1).max(4_096).default(100).describe('Candidates that a search in Redis looks at: more find more, and take longer'),
};

type SearchChoice = { SEARCH_ENGINE?: string | undefined; ELASTICSEARCH_URL?: string | undefined; KUBERNETES_SERVICE_HOST?: string | undefined };
interface VectorChoice {
  readonly VECTOR_STORE?: string | undefined;
  readonly QDRANT_URL?: string | undefined;
  readonly VECTOR_REDIS_URL?: string | undefined;
  readonly REDIS_URL?: string | undefined;
  readonly KUBERNETES_SERVICE_HOST?: string | undefined;
}

export const searchEngineOf = (env: SearchChoice): 'embedded' | 'elasticsearch' =>
  env.SEARCH_ENGINE === 'embedded' || (env.SEARCH_ENGINE === undefined && env.ELASTICSEARCH_URL === undefined) ? 'embedded' : 'elasticsearch';
export function vectorStoreOf(env: VectorChoice): 'embedded' | 'qdrant' | 'redis' {
  if (env.VECTOR_STORE === 'embedded' || env.VECTOR_STORE === 'qdrant' || env.VECTOR_STORE === 'redis') return env.VECTOR_STORE;
  if (env.QDRANT_URL !== undefined) return 'qdrant';
  return env.VECTOR_REDIS_URL === undefined ? 'embedded' : 'redis';
}

/** Address of the Redis of the vectors, where that is the store. */
export const vectorRedisUrlOf = (env: VectorChoice): string => env.VECTOR_REDIS_URL ?? env.REDIS_URL ?? '';

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
    ctx.addIssue({ code: 'custom', path: ['VECTOR_STORE'], message: 'the embedded store is for one host: use qdrant or redis on Kubernetes' });
  if (vectorStoreOf(env) === 'redis') checkVectorRedis(env, ctx);
}

/** The search module indexes database 0 of one server. */
function checkVectorRedis(env: VectorChoice, ctx: z.RefinementCtx): void {
  const [name, url] = env.VECTOR_REDIS_URL === undefined ? ['REDIS_URL', vectorRedisUrlOf(env)] : ['VECTOR_REDIS_URL', env.VECTOR_REDIS_URL];
  const instead = name === 'REDIS_URL' ? ': set VECTOR_REDIS_URL for the vectors' : '';
  if (/^rediss?-cluster:/.test(url)) ctx.addIssue({ code: 'custom', path: [name], message: `VECTOR_STORE=redis needs a single server, or one behind Sentinel, not a cluster${instead}` });
  else if (!/^\/?0?$/.test(URL.parse(url)?.pathname ?? '')) ctx.addIssue({ code: 'custom', path: [name], message: `VECTOR_STORE=redis needs database 0: the search module indexes no other${instead}` });
}
