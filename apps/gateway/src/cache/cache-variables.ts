import { z } from 'zod';

/** Variables of the response cache. */
export const cacheVariables = {
  CACHE_ENABLED: z.stringbool().default(true).describe('false: every answer comes from its service'),
  CACHE_REDIS_URL: z.url({ protocol: /^rediss?(-cluster|-sentinel)?$/ }).default('redis://127.0.0.1:6380').describe('Redis of the response cache, one that may evict (allkeys-lru); the same forms as REDIS_URL'),
  CACHE_TIMEOUT_MS: z.coerce.number().int().min(1).max(10_000).default(50).describe('Longest wait for one answer of that Redis; then services are asked until it answers again'),
  CACHE_NEAR_BYTES: z.coerce.number().int().min(0).max(1_073_741_824).default(33_554_432).describe('Answers that this process holds in its own memory, bytes; 0 = none'),
  CACHE_NEAR_MS: z.coerce.number().int().min(1).max(2_000).default(1_000).describe('Longest time that it gives one from there, milliseconds'),
};
