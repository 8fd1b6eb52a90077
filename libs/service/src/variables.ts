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
  BUS_URL: z.url({ protocol: /^(rediss?(-cluster|-sentinel)?|nats|tls|postgres(ql)?)$/ }).optional().describe('Where events go: nats://user:password@host:4222, postgres://role:password@host/database?schema=millrace_bus, or REDIS_URL again; the same for every service. Default: REDIS_URL, which stays needed for state (docs/engines.md)'),
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

const vectorStores = ['embedded', 'qdrant', 'redis', 'milvus', 'pinecone'] as const;
export type VectorStoreName = (typeof vectorStores)[number];

/** Vector store choice; refine with `checkVectorStore`. */
export const vectorVariables = {
  VECTOR_STORE: z.enum(vectorStores).optional().describe('Default: qdrant where QDRANT_URL is set, redis where VECTOR_REDIS_URL is, milvus where MILVUS_ADDRESS is, pinecone where PINECONE_API_KEY is, else embedded (VECTOR_STORE_TYPE is accepted too)'),
  VECTOR_STORE_PREVIOUS: z.enum(vectorStores).optional().describe('The store before a change of VECTOR_STORE: it answers, and follows the catalogue, until the new one is filled, validated and live. Its own variables stay set meanwhile'),
  VECTOR_TIMEOUT_MS: z.coerce.number().int().min(10).max(60_000).default(2_000).describe('Longest wait of a reader for one answer of the vector store, milliseconds; Redis has half a second whatever stands here'),
  QDRANT_URL: z.url().optional().describe('Qdrant'),
  QDRANT_API_KEY: z.string().optional().describe('API key of Qdrant'),
  QDRANT_COLLECTION: z.string().regex(/^[a-zA-Z0-9_-]{1,100}$/).default('products').describe('Alias of the live collection'),
  QDRANT_SHARDS: z.coerce.number().int().min(1).max(1_000).optional().describe('Shards of a collection made from now on: its points are spread over so many nodes'),
  QDRANT_REPLICATION_FACTOR: z.coerce.number().int().min(1).max(100).optional().describe('Copies of each shard of a collection made from now on'),
  QDRANT_WRITE_CONSISTENCY_FACTOR: z.coerce.number().int().min(1).max(100).optional().describe('Copies that must have stored a write before it counts'),
  VECTOR_REDIS_URL: z.url({ protocol: /^rediss?(-sentinel)?$/, error: `must be ${singleRedis}; the search module of a cluster works otherwise` }).optional().describe(`Redis with its search module (FT.CREATE): ${singleRedis}. Default, where VECTOR_STORE is redis: REDIS_URL`),
  VECTOR_INDEX_NAME: z.string().regex(/^[\w.:-]{1,100}$/).default('product:vectors').describe('Alias of the live index in Redis'),
  VECTOR_ALIAS_KEYS: z.stringbool().default(false).describe('Also keep product:embedding:<sku> in Redis, for readers that know no model'),
  HNSW_M: z.coerce.number().int().min(2).max(512).default(16).describe('Neighbours of a vector in the graph of an index made in Redis or Milvus from now on'),
  HNSW_EF_CONSTRUCTION: z.coerce.number().int().min(4).max(4_096).default(200).describe('Candidates that are looked at where a vector is added to it'),
  HNSW_EF_RUNTIME: z.coerce.number().int().min(1).max(4_096).default(100).describe('Candidates that a search in Redis or Milvus looks at: more find more, and take longer'),
  MILVUS_ADDRESS: z.string().regex(/^(https?:\/\/)?[^\s/]+(:\d+)?$/, 'must be host:port, with https:// before it for TLS').optional().describe('Milvus 2.6, gRPC: localhost:19530; https:// before it for TLS'),
  MILVUS_TOKEN: z.string().optional().describe('user:password, or an API key of Zilliz Cloud'),
  MILVUS_COLLECTION: z.string().regex(/^[A-Za-z_]\w{0,100}$/).default('products').describe('Alias of the live collection'),
  MILVUS_SHARDS: z.coerce.number().int().min(1).max(64).default(1).describe('Shards of a collection made from now on: how many nodes take its writes'),
  MILVUS_REPLICAS: z.coerce.number().int().min(1).max(64).default(1).describe('Copies of a collection made from now on in memory, each on query nodes of its own'),
  MILVUS_CONSISTENCY: z.enum(['Strong', 'Bounded']).default('Strong').describe('Strong: readers see every write at once. Bounded: up to 5 s later, and searches do not wait'),
  PINECONE_API_KEY: z.string().optional().describe('API key of Pinecone'),
  PINECONE_INDEX: z.string().regex(/^[a-z0-9-]{1,45}$/).optional().describe('A serverless index with metric cosine and the dimension of the vectors'),
  PINECONE_HOST: z.url().optional().describe("The index' own address, as its page shows it; default: asked of Pinecone by PINECONE_INDEX"),
  PINECONE_NAMESPACE: z.string().regex(/^[\w-]{1,40}$/).default('products').describe('What the namespaces of its collections begin with'),
};

type SearchChoice = { SEARCH_ENGINE?: string | undefined; ELASTICSEARCH_URL?: string | undefined; KUBERNETES_SERVICE_HOST?: string | undefined };
interface VectorChoice {
  readonly VECTOR_STORE?: VectorStoreName | undefined;
  readonly VECTOR_STORE_PREVIOUS?: VectorStoreName | undefined;
  readonly QDRANT_URL?: string | undefined;
  readonly VECTOR_REDIS_URL?: string | undefined;
  readonly REDIS_URL?: string | undefined;
  readonly MILVUS_ADDRESS?: string | undefined;
  readonly PINECONE_API_KEY?: string | undefined;
  readonly PINECONE_INDEX?: string | undefined;
  readonly PINECONE_HOST?: string | undefined;
  readonly KUBERNETES_SERVICE_HOST?: string | undefined;
}

export const searchEngineOf = (env: SearchChoice): 'embedded' | 'elasticsearch' =>
  env.SEARCH_ENGINE === 'embedded' || (env.SEARCH_ENGINE === undefined && env.ELASTICSEARCH_URL === undefined) ? 'embedded' : 'elasticsearch';
export function vectorStoreOf(env: VectorChoice): VectorStoreName {
  if (env.VECTOR_STORE !== undefined) return env.VECTOR_STORE;
  if (env.QDRANT_URL !== undefined) return 'qdrant';
  if (env.VECTOR_REDIS_URL !== undefined) return 'redis';
  if (env.MILVUS_ADDRESS !== undefined) return 'milvus';
  return env.PINECONE_API_KEY === undefined ? 'embedded' : 'pinecone';
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

/** The same for vectors, and for the store before where there is one. */
export function checkVectorStore(env: VectorChoice, ctx: z.RefinementCtx): void {
  const store = vectorStoreOf(env);
  checkStore(env, { store, variable: 'VECTOR_STORE' }, ctx);
  if (env.VECTOR_STORE_PREVIOUS === undefined) return;
  if (env.VECTOR_STORE_PREVIOUS === store) ctx.addIssue({ code: 'custom', path: ['VECTOR_STORE_PREVIOUS'], message: 'is VECTOR_STORE itself: it names the store that was before' });
  else checkStore(env, { store: env.VECTOR_STORE_PREVIOUS, variable: 'VECTOR_STORE_PREVIOUS' }, ctx);
}

function checkStore(env: VectorChoice, { store, variable }: { store: VectorStoreName; variable: string }, ctx: z.RefinementCtx): void {
  const need = (name: keyof VectorChoice): void => {
    if (env[name] === undefined) ctx.addIssue({ code: 'custom', path: [name], message: `required when ${variable} is ${store}` });
  };
  if (store === 'embedded' && env.KUBERNETES_SERVICE_HOST !== undefined)
    ctx.addIssue({ code: 'custom', path: [variable], message: 'the embedded store is for one host: use another on Kubernetes (docs/engines.md)' });
  if (store === 'qdrant') need('QDRANT_URL');
  if (store === 'redis') checkVectorRedis(env, ctx);
  if (store === 'milvus') need('MILVUS_ADDRESS');
  if (store === 'pinecone') {
    need('PINECONE_API_KEY');
    if (env.PINECONE_HOST === undefined) need('PINECONE_INDEX');
  }
}

/** The search module indexes database 0 of one server. */
function checkVectorRedis(env: VectorChoice, ctx: z.RefinementCtx): void {
  const [name, url] = env.VECTOR_REDIS_URL === undefined ? ['REDIS_URL', vectorRedisUrlOf(env)] : ['VECTOR_REDIS_URL', env.VECTOR_REDIS_URL];
  const instead = name === 'REDIS_URL' ? ': set VECTOR_REDIS_URL for the vectors' : '';
  if (/^rediss?-cluster:/.test(url)) ctx.addIssue({ code: 'custom', path: [name], message: `VECTOR_STORE=redis needs a single server, or one behind Sentinel, not a cluster${instead}` });
  else if (!/^\/?0?$/.test(URL.parse(url)?.pathname ?? '')) ctx.addIssue({ code: 'custom', path: [name], message: `VECTOR_STORE=redis needs database 0: the search module indexes no other${instead}` });
}

/** Who answers requests for embeddings, for services that embed; a model's own address is not part of it. */
export const embeddingServiceVariables = {
  OPENAI_BASE_URL: z.url({ protocol: /^https?$/ }).default('https://api.openai.com/v1').describe('Any service with the API of OpenAI: POST <this>/embeddings'),
  OPENAI_API_KEY: z.string().min(1).optional().describe('Its key, sent as a bearer token; local services need none'),
  OPENAI_SEND_DIMENSIONS: z.stringbool().default(true).describe('Ask for vectors of that many dimensions, which text-embedding-3 can; false for models that have one size'),
  OPENAI_MAX_INPUT_TOKENS: z.coerce.number().int().min(16).max(1_000_000).default(8_000).describe('Longer texts are cut, tokens (estimated)'),
  EMBEDDING_TOKENS_PER_MINUTE: z.coerce.number().int().min(10_000).optional().describe('What all instances of this service may spend, tokens a minute; default: no limit'),
  EMBEDDING_TOKENS_PER_DAY: z.coerce.number().int().min(10_000).optional().describe('The same a day'),
  EMBEDDING_REQUESTS_PER_MINUTE: z.coerce.number().int().min(1).optional().describe('The same in requests'),
  EMBEDDING_REQUESTS_PER_DAY: z.coerce.number().int().min(1).optional().describe('The same in requests a day'),
};
