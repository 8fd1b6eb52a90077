import { z } from 'zod';
import { ask } from '../ask.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { shortProduct, sku } from './product-fields.ts';
import { userId } from './user-id.ts';

const input = z.strictObject({
  user_id: userId.optional().meta({ description: "The shop's id of its customer; absent: a stranger, who gets what sells well" }),
  category: z.string().min(1).max(200).exactOptional(),
  exclude: z.array(sku).max(50).optional().meta({ description: 'Products that must not appear' }),
  exclude_seen: z.boolean().default(false).meta({ description: 'Also leave out what they have just looked at or bought' }),
  limit: z.int().min(1).max(50).default(5),
});
const data = z.object({
  products: z.array(z.object({ ...shortProduct, score: z.number(), why: z.string().meta({ description: 'What brought it here: own traces, co_buy, co_view, similar, trending, popular and so on' }) })),
  context: z.enum(['live', 'none', 'unavailable']).meta({ description: 'live: what they did in the last minutes counts' }), fallback: z.boolean(), degraded: z.boolean(),
});

export const recommendForUser = defineTool({
  name: 'recommend_for_user', title: 'Recommend to a customer', scopes: ['search:read'], annotations: READS, limits: READ_LIMITS, input, output: data,
  description: 'What to show this customer next, by what they and others looked at and bought.',
  async run({ user_id: user, exclude, exclude_seen: seen, ...rest }, { api, signal }) {
    const query = { ...rest, exclude_seen: String(seen), ...(user !== undefined && { user_id: user }), ...(exclude !== undefined && { exclude }) };
    const { data: found, origin } = await ask('GET /api/recommendations', api.GET('/api/recommendations', { params: { query }, signal }));
    return { data: { ...found, products: found.data.map((one) => ({ ...one, why: one.stage })) }, origin };
  },
});
