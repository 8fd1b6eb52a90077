import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ConfigError, loadConfig, searchVariables, checkSearchEngine, withFallbacks } from '../src/index.ts';

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
