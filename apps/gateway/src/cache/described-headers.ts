import { z } from 'zod';

/** For the OpenAPI document: what answers of cached operations say of the cache. */
export const cacheAnswerHeaders = z.object({
  'Cache-Status': z.string().optional().meta({ header: { id: 'Cache-Status' }, example: 'millrace; hit; ttl=240', description: 'RFC 9211; missing where CACHE_ENABLED is false' }),
  Age: z.int().optional().meta({ header: { id: 'Age' }, example: 60, description: 'Seconds since the service gave this answer; only from the cache' }),
  ETag: z.string().optional().meta({ header: { id: 'ETag' }, example: '"1200.1204"', description: 'For If-None-Match' }),
});
