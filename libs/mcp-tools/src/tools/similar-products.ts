import { z } from 'zod';
import { ask } from '../ask.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { shortProduct, sku } from './product-fields.ts';

const input = z.strictObject({
  sku, limit: z.int().min(1).max(50).default(5),
  min_score: z.number().min(-1).max(1).exactOptional().meta({ description: 'Least similarity of their texts; default: the shop\'s' }),
  category: z.string().min(1).max(200).exactOptional(),
});
const data = z.object({
  products: z.array(z.object({ ...shortProduct, in_stock: z.boolean(), similarity_score: z.number(), why: z.string().meta({ description: 'similar, or what filled the place: category, brand, nearest' }) })),
  fallback: z.boolean().meta({ description: 'true: fewer than limit are truly similar, the rest was filled' }), degraded: z.boolean(),
});

export const similarProducts = defineTool({
  name: 'similar_products', title: 'Products like this one', scopes: ['search:read'], annotations: READS, limits: READ_LIMITS, input, output: data,
  description: 'Alternatives to a product: when it is sold out, too dear, or the customer wants to see more of its kind.',
  async run({ sku: wanted, ...query }, { api, signal }) {
    const { data: found, origin } = await ask('GET /api/products/{sku}/similar', api.GET('/api/products/{sku}/similar', { params: { path: { sku: wanted }, query }, signal }));
    return { data: { ...found, products: found.data.map((one) => ({ ...one, why: one.source })) }, origin };
  },
});
