import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ConfigError, loadConfig, searchVariables, checkSearchEngine, checkVectorStore, reconcileVariables, redisVariables, vectorRedisUrlOf, vectorStoreOf, vectorVariables, withFallbacks } from '../src/index.ts';

const schema = z.object({ PORT: z.coerce.number().int(), SECRET_URL: z.url(), NAME: z.string().default('x') });

describe('loadConfig', () => {
  it('reports every bad variable at once and never a value', () => {
    const load = (): unknown => loadConfig(schema, { PORT: 'hunter2', SECRET_URL: 'hunter3' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(/2 problems[\s\S]*PORT[\s\S]*SECRET_URL/);
    expect(load).not.toThrow(/hunter/);
  });
  it('takes an empty variable as not set', () => {
    expect(loadConfig(schema, { PORT: '1', SECRET_URL: 'http://a', NAME: '' }).NAME).toBe('x');
  });
});

describe('intervals', () => {
  it('are refused where a timer of Node would fire at once instead (above 2^31 - 1 ms)', () => {
    const { RECONCILE_INTERVAL_MS: interval } = reconcileVariables;
    expect([interval.safeParse('0').success, interval.safeParse('86400000').success, interval.safeParse('2592000000').success]).toEqual([true, true, false]);
  });
});

describe('withFallbacks', () => {
  it.each([
    { env: { REDIS_HOST: 'r', REDIS_PORT: '7', REDIS_PASSWORD: 'p@s', REDIS_DB: '2' }, name: 'REDIS_URL', url: 'redis://:p%40s@r:7/2' },
    { env: { REDIS_HOST: 'r', REDIS_URL: 'redis://other:1' }, name: 'REDIS_URL', url: 'redis://other:1' },
    { env: { POSTGRES_HOST: 'p', POSTGRES_DB: 'd', POSTGRES_USER: 'u', POSTGRES_PASSWORD: 'w/' }, name: 'DATABASE_URL', url: 'postgres://u:w%2F@p:5432/d' },
    { env: { ELASTIC_HOST: 'e' }, name: 'ELASTICSEARCH_URL', url: 'http://e:9200' },
    { env: { ELASTIC_HOST: 'https://e:9243' }, name: 'ELASTICSEARCH_URL', url: 'https://e:9243' },
  ])('makes $name $url of the older names', ({ env, name, url }) => {
    expect(withFallbacks(env)[name]).toBe(url);
  });
});

describe('engine choice', () => {
  const engine = z.object({ ...searchVariables, KUBERNETES_SERVICE_HOST: z.string().optional() }).superRefine(checkSearchEngine);
  it('refuses the embedded engine on Kubernetes', () => {
    expect(engine.safeParse({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }).success).toBe(false);
  });
  it('refuses elasticsearch without its address', () => {
    expect(engine.safeParse({ SEARCH_ENGINE: 'elasticsearch' }).success).toBe(false);
  });
});

describe('the choice of a vector store', () => {
  const store = z.object({ ...redisVariables, ...vectorVariables, KUBERNETES_SERVICE_HOST: z.string().optional() }).superRefine(checkVectorStore);
  const problemsOf = (env: Record<string, string>): string => store.safeParse(withFallbacks(env)).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ') ?? '';

  it.each([
    { env: {}, chosen: 'embedded' },
    { env: { QDRANT_URL: 'http://q:6333' }, chosen: 'qdrant' },
    { env: { VECTOR_REDIS_URL: 'redis://v:6379' }, chosen: 'redis', address: 'redis://v:6379' },
    { env: { VECTOR_STORE: 'redis', REDIS_URL: 'redis://bus:6379/0' }, chosen: 'redis', address: 'redis://bus:6379/0' },
    { env: { VECTOR_STORE_TYPE: 'redis', VECTOR_REDIS_URL: 'rediss://v', REDIS_URL: 'redis-cluster://c:7000' }, chosen: 'redis', address: 'rediss://v' },
    { env: { VECTOR_STORE: 'embedded', QDRANT_URL: 'http://q:6333', VECTOR_REDIS_URL: 'redis://v' }, chosen: 'embedded' },
    { env: { MILVUS_ADDRESS: 'https://in01.zilliz.example:19530' }, chosen: 'milvus' },
    { env: { PINECONE_API_KEY: 'k', PINECONE_HOST: 'https://products.svc.pinecone.io' }, chosen: 'pinecone' },
    { env: { VECTOR_STORE: 'milvus', MILVUS_ADDRESS: 'localhost:19530', VECTOR_STORE_PREVIOUS: 'embedded' }, chosen: 'milvus' },
  ])('is $chosen for $env', ({ env, chosen, address }) => {
    const config = store.parse(withFallbacks(env));
    expect(vectorStoreOf(config)).toBe(chosen);
    if (address !== undefined) expect(vectorRedisUrlOf(config)).toBe(address);
  });

  it.each([
    { env: { VECTOR_STORE: 'qdrant' }, problem: 'QDRANT_URL: required' },
    { env: { VECTOR_STORE: 'redis', REDIS_URL: 'redis-cluster://c:7000' }, problem: 'REDIS_URL: VECTOR_STORE=redis needs a single server, or one behind Sentinel, not a cluster: set VECTOR_REDIS_URL' },
    { env: { VECTOR_STORE: 'redis', REDIS_URL: 'redis://bus:6379/3' }, problem: 'REDIS_URL: VECTOR_STORE=redis needs database 0' },
    { env: { VECTOR_REDIS_URL: 'redis-cluster://c:7000' }, problem: 'VECTOR_REDIS_URL: must be redis://' },
    { env: { VECTOR_REDIS_URL: 'redis://v/1' }, problem: 'VECTOR_REDIS_URL: VECTOR_STORE=redis needs database 0' },
    { env: { VECTOR_REDIS_URL: 'redis://v', VECTOR_INDEX_NAME: 'two words' }, problem: 'VECTOR_INDEX_NAME' },
    { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, problem: 'VECTOR_STORE: the embedded store is for one host: use another on Kubernetes' },
    { env: { VECTOR_STORE: 'milvus' }, problem: 'MILVUS_ADDRESS: required when VECTOR_STORE is milvus' },
    { env: { VECTOR_STORE: 'pinecone', PINECONE_API_KEY: 'k' }, problem: 'PINECONE_INDEX: required' },
    { env: { VECTOR_STORE: 'milvus', MILVUS_ADDRESS: 'localhost:19530', VECTOR_STORE_PREVIOUS: 'qdrant' }, problem: 'QDRANT_URL: required when VECTOR_STORE_PREVIOUS is qdrant' },
    { env: { VECTOR_STORE: 'redis', VECTOR_STORE_PREVIOUS: 'redis' }, problem: 'VECTOR_STORE_PREVIOUS: is VECTOR_STORE itself' },
    { env: { MILVUS_ADDRESS: 'ftp://milvus' }, problem: 'MILVUS_ADDRESS: must be host:port' },
  ])('refuses $env, and says why', ({ env, problem }) => {
    expect(problemsOf(env)).toContain(problem);
  });
});
