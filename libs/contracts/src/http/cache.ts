import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const common = { service: 'gateway', scope: 'ops' } as const;

const seconds = z.number();
const calls = z.object({
  near: z.int().meta({ description: "From the gateway's own memory" }),
  hit: z.int(),
  stale: z.int().meta({ description: 'Given while one call asked the service again' }),
  stale_error: z.int().meta({ description: 'Given because the service failed' }),
  collapsed: z.int().meta({ description: "Got the answer that another call was waiting for" }),
  miss: z.int(),
  bypass: z.int().meta({ description: 'Asked the service without looking, because the Redis of the cache did not answer' }),
});

export const cacheSchema = z
  .object({
    enabled: z.boolean(),
    usable: z.boolean().meta({ description: 'false: its Redis does not answer in time, or does not know of every purge yet; the services answer meanwhile' }),
    operations: z.array(z.object({
      operation: z.string(), fresh_seconds: seconds, stale_while_revalidate_seconds: seconds, stale_if_error_seconds: seconds, not_found_seconds: seconds,
      calls: calls.meta({ description: 'Of this instance, since its start' }),
    })),
    near: z.object({ entries: z.int(), bytes: z.int() }).meta({ description: 'In the memory of this instance' }),
    redis: z.object({ used_bytes: z.int(), max_bytes: z.int(), evicted_keys: z.int(), expired_keys: z.int() }).nullable().meta({ description: 'null: it does not answer' }),
  })
  .meta({ id: 'Cache' });
export type CacheBody = z.output<typeof cacheSchema>;

export const getCache = defineOperation({
  ...common, operationId: 'getCache', method: 'get', path: '/api/admin/cache', summary: 'What the response cache does',
  responses: { 200: { description: 'Of the instance that answers', schema: cacheSchema, example: {
    enabled: true, usable: true, near: { entries: 12, bytes: 40_960 }, redis: { used_bytes: 1_843_200, max_bytes: 134_217_728, evicted_keys: 0, expired_keys: 17 },
    operations: [{ operation: 'getProduct', fresh_seconds: 300, stale_while_revalidate_seconds: 0, stale_if_error_seconds: 3600, not_found_seconds: 10, calls: { near: 180, hit: 40, stale: 0, stale_error: 0, collapsed: 3, miss: 9, bypass: 0 } }] } } },
});

const tag = z.string().max(300).regex(/^(sku|category|store|open|operation):./, 'must be sku:<sku>, category:<category>, store:products, store:search, store:vectors or operation:<operationId>');

export const purgeCache = defineOperation({
  ...common, operationId: 'purgeCache', method: 'post', path: '/api/admin/cache/purge', audited: true, summary: 'Throw cached answers away',
  description: 'By tags, of one operation, or all. Once it is done no instance gives one of them from Redis; from its own memory another instance may for at most CACHE_NEAR_MS (1 s).',
  body: z
    .strictObject({
      tags: z.array(tag).min(1).max(1_000).optional().meta({ description: 'Answers with one of them', example: ['sku:MR-0001'] }),
      operation: z.string().min(1).max(200).optional().meta({ description: 'Answers of this operation', example: 'searchProducts' }),
      all: z.literal(true).optional(),
    })
    .refine((body) => Object.values(body).filter((value) => value !== undefined).length === 1, { error: 'say what to purge: one of tags, operation and all' }),
  bodyExample: { tags: ['sku:MR-0001'] },
  responses: { 200: { description: 'done = false: the Redis of the cache does not answer; this instance purges as soon as it does, and gives nothing from it until then', schema: z.object({ done: z.boolean() }), example: { done: true } } },
});

export const cacheOperations = [getCache, purgeCache] as const;
