/** Where the test runner says that a server is. */
export const serverVariables = {
  postgres: 'TEST_DATABASE_URL',
  'postgres-bin': 'TEST_POSTGRES_BIN',
  redis: 'TEST_REDIS_URL',
  'redis-server': 'TEST_REDIS_SERVER_BIN',
  'redis-cluster': 'TEST_REDIS_CLUSTER_URL',
  'redis-8': 'TEST_REDIS_8_URL',
  'redis-stack': 'TEST_REDIS_STACK_URL',
  nats: 'TEST_NATS_URL',
  'nats-server': 'TEST_NATS_SERVER_BIN',
  pgbouncer: 'TEST_PGBOUNCER_BIN',
  elasticsearch: 'TEST_ELASTICSEARCH_URL',
  qdrant: 'TEST_QDRANT_URL',
  milvus: 'TEST_MILVUS_ADDRESS',
  chromium: 'TEST_CHROMIUM_BIN',
  shared: 'MILLRACE_SHARED',
} as const;
export type TestServer = keyof typeof serverVariables;

/** Address of a server that the test runner started (`npm test` always starts postgres and redis). Throws where it did not. */
export function testServer(name: TestServer): string {
  const url = process.env[serverVariables[name]];
  if (url === undefined || url === '') throw new Error(`${serverVariables[name]} is not set: run the tests by "npm test"`);
  return url;
}
