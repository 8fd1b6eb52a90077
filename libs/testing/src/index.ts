export { eventually } from './eventually.ts';
export { testServer } from './servers.ts';
export type { TestServer } from './servers.ts';
export { describeWith } from './describe-with.ts';
export { uniqueName } from './unique-name.ts';
export { startRedisServer } from './redis-server.ts';
export type { RedisServer } from './redis-server.ts';
export { createTestDatabase } from './test-database.ts';
export type { TestDatabase } from './test-database.ts';
