import { z } from 'zod';

/** For the OpenAPI document: what answers say of rate limits. Each is missing where no limit counts the caller (development keys, RATE_LIMITS_ENABLED=false). */
export const limitHeaders = z.object({
  'RateLimit-Policy': z.string().optional().meta({ header: { id: 'RateLimit-Policy' }, example: '"reads";q=60000;w=60', description: 'The limits that this call counts against: q units in w seconds (draft-ietf-httpapi-ratelimit-headers-11)' }),
  RateLimit: z.string().optional().meta({ header: { id: 'RateLimit' }, example: '"reads";r=59999;t=1', description: 'Of each limit: r units are left, more come in t seconds; of a refusal t is Retry-After' }),
});

/** The same of problems. */
export const refusalHeaders = limitHeaders.extend({
  'Retry-After': z.int().optional().meta({ header: { id: 'Retry-After' }, example: 3, description: 'Seconds until it is worth trying again; with 429, 502, 503 and 504' }),
});
