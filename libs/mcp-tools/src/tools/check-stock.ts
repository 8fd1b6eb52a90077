import { z } from 'zod';
import { oldestOf } from '../ask.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { PRODUCT_SOURCE, findProduct, sku } from './product-fields.ts';

const stock = z.object({ sku: z.string(), name: z.string(), stock: z.int().nullable().meta({ description: 'null = unknown' }), can_be_sold: z.boolean().meta({ description: 'In stock and active' }), status: z.string(), version: z.int(), updated_at: z.string() });

export const checkStock = defineTool({
  name: 'check_stock', title: 'Check stock', scopes: ['products:read'], annotations: READS, limits: READ_LIMITS,
  input: z.strictObject({ skus: z.array(sku).min(1).max(10) }), output: z.object({ stocks: z.array(stock), unknown: z.array(z.string()).meta({ description: 'Skus that do not exist' }) }),
  description: 'Units in stock of up to 10 products, as the database has them now, past all caches. Use it before promising anything to a customer.',
  async run({ skus }, context) {
    const wanted = [...new Set(skus)];
    const found = await Promise.all(wanted.map((one) => findProduct(context, one, { isFresh: true })));
    const stocks = found.flatMap((one) => (one ? [{ ...one.data, can_be_sold: one.data.status === 'active' && (one.data.stock ?? 0) > 0 }] : []));
    return { data: { stocks, unknown: wanted.filter((_one, at) => !found[at]) }, origin: oldestOf(PRODUCT_SOURCE, found.flatMap((one) => (one ? [one.origin] : []))) };
  },
});
