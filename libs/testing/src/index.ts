export { eventually } from './eventually.ts';
export { testServer, describeWith } from './servers.ts';
export { uniqueName } from './unique-name.ts';
export { startRedisServer } from './redis-server.ts';
export type { RedisServer } from './redis-server.ts';
export { createTestDatabase } from './test-database.ts';
export type { TestDatabase } from './test-database.ts';
