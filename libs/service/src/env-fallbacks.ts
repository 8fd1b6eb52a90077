type Env = Readonly<Record<string, string | undefined>>;

const encode = encodeURIComponent;

function redisUrl(env: Env): string | undefined {
  if (!env['REDIS_HOST']) return undefined;
  const password = env['REDIS_PASSWORD'] ? `:${encode(env['REDIS_PASSWORD'])}@` : '';
  return `redis://${password}${env['REDIS_HOST']}:${env['REDIS_PORT'] ?? '6379'}/${env['REDIS_DB'] ?? '0'}`;
}

function databaseUrl(env: Env): string | undefined {
  if (!env['POSTGRES_HOST']) return undefined;
  const user = env['POSTGRES_USER'] ?? 'postgres';
  const login = env['POSTGRES_PASSWORD'] ? `${encode(user)}:${encode(env['POSTGRES_PASSWORD'])}` : encode(user);
  return `postgres://${login}@${env['POSTGRES_HOST']}:${env['POSTGRES_PORT'] ?? '5432'}/${env['POSTGRES_DB'] ?? 'postgres'}`;
}

function elasticsearchUrl(env: Env): string | undefined {
  const host = env['ELASTIC_HOST'];
  if (!host) return undefined;
  return /^https?:\/\//.test(host) ? host : `http://${host.includes(':') ? host : `${host}:9200`}`;
}

/**
 * Accepts the older names (`POSTGRES_HOST/DB`, `REDIS_HOST/PORT/PASSWORD/DB`, `ELASTIC_HOST`, `VECTOR_STORE_TYPE`) where the URL is not set.
 * Empty variables count as not set. Never changes the environment it is given.
 */
export function withFallbacks(env: Env): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined && value !== '') given[name] = value;
  const fallbacks: Record<string, string | undefined> = {
    REDIS_URL: redisUrl(given),
    DATABASE_URL: databaseUrl(given),
    ELASTICSEARCH_URL: elasticsearchUrl(given),
    VECTOR_STORE: given['VECTOR_STORE_TYPE'],
  };
  for (const [name, value] of Object.entries(fallbacks)) if (given[name] === undefined && value !== undefined) given[name] = value;
  return given;
}
