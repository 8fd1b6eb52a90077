import { z } from 'zod';
import { RefusedError } from '../refused-error.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { findProduct, sku, wholeProduct } from './product-fields.ts';

export const noProduct = (wanted: string): RefusedError => new RefusedError({ code: 'not_found', detail: `there is no product ${JSON.stringify(wanted)}: look for it with search_products`, pointer: '/sku' });

export const getProduct = defineTool({
  name: 'get_product', title: 'Read a product', scopes: ['products:read'], annotations: READS, limits: READ_LIMITS, input: z.strictObject({ sku }), output: z.object({ product: wholeProduct }),
  description: 'Everything the catalogue knows of one product: description, attributes, price, stock.',
  async run({ sku: wanted }, context) {
    const found = await findProduct(context, wanted);
    if (!found) throw noProduct(wanted);
    return { data: { product: found.data }, origin: found.origin };
  },
});
