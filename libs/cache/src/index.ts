export type { Answer, Keeping } from './answer.ts';
export { cacheHeaders } from './cache-status.ts';
export { outcomes } from './cache-metrics.ts';
export type { Outcome, RedisMemory } from './cache-metrics.ts';
export { openResponseCache } from './open-response-cache.ts';
export type { CacheState, OpenResponseCache, OpenResponseCacheOptions } from './open-response-cache.ts';
export type { CacheCall, CacheResult, ResponseCache } from './response-cache.ts';
