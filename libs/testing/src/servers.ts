import { describe } from '@jest/globals';

const variables = {
  postgres: 'TEST_DATABASE_URL',
  redis: 'TEST_REDIS_URL',
  'redis-server': 'TEST_REDIS_SERVER_BIN',
  elasticsearch: 'TEST_ELASTICSEARCH_URL',
  qdrant: 'TEST_QDRANT_URL',
  shared: 'MILLRACE_SHARED',
} as const;
export type TestServer = keyof typeof variables;

/** Address of a server that the test runner started (`npm test` always starts postgres and redis). Throws where it did not. */
export function testServer(name: TestServer): string {
  const url = process.env[variables[name]];
  if (url === undefined || url === '') throw new Error(`${variables[name]} is not set: run the tests by "npm test"`);
  return url;
}

/** describe, or a skip that names the missing server. Only for servers that a bare machine does not have. */
export function describeWith(server: Exclude<TestServer, 'postgres' | 'redis'>, title: string, body: () => void): void {
  if (process.env[variables[server]]) describe(title, body);
  else describe.skip(`${title} (skipped: no ${server}, ${variables[server]} is not set)`, body);
}
