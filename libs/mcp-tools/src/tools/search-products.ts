import { z } from 'zod';
import { ask } from '../ask.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { shortProduct, shortText } from './product-fields.ts';

const amount = z.number().min(0).max(1e15);
const input = z.strictObject({
  query: z.string().max(500).meta({ description: 'What the customer wants, in their words, Vietnamese or English; empty = everything', example: 'tai nghe chống ồn' }),
  category: z.string().min(1).max(200).exactOptional(),
  brand: z.string().min(1).max(200).exactOptional(),
  min_price: amount.optional(),
  max_price: amount.optional(),
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as VND').exactOptional().meta({ description: "Of min_price and max_price; default: the shop's" }),
  in_stock: z.boolean().optional().meta({ description: 'true: only what can be sold now' }),
  sort: z.enum(['relevance', 'price_asc', 'price_desc', 'newest']).default('relevance'),
  limit: z.int().min(1).max(50).default(10),
});

const data = z.object({
  products: z.array(z.object({ ...shortProduct, stock: z.int().nullable(), description: z.string().nullable() })),
  total: z.int().meta({ description: 'How many there are in all' }),
  did_you_mean: z.string().nullable(),
  degraded: z.boolean().meta({ description: 'true: search is down, the list may be empty or incomplete' }),
  index_lag_ms: z.int().nullable().meta({ description: 'How far search is behind the catalogue, milliseconds' }),
});

/** As the API takes amounts: no exponent, no digits that are nothing. */
const decimal = (value: number): string => value.toFixed(6).replace(/\.?0+$/, '');

export const searchProducts = defineTool({
  name: 'search_products', title: 'Search products', scopes: ['search:read'], annotations: READS, limits: READ_LIMITS, input, output: data,
  description: 'Finds products of the shop by words, category, brand and price. Use it first when a customer says what they want. Stock in the answer may be a second old: check_stock is exact.',
  async run({ query: q, min_price: least, max_price: most, in_stock: inStock, ...rest }, { api, signal }) {
    const query = { q, ...rest, ...(inStock !== undefined && { in_stock: String(inStock) }), ...(least !== undefined && { min_price: decimal(least) }), ...(most !== undefined && { max_price: decimal(most) }) };
    const { data: found, origin } = await ask('GET /api/search', api.GET('/api/search', { params: { query }, signal }));
    const products = found.data.map((hit) => ({ ...hit, description: shortText(hit.description) }));
    return { data: { ...found, products }, origin, isTruncated: found.total > products.length };
  },
});
