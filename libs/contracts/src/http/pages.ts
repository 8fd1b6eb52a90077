import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { productSchema, skuSchema } from '../product.ts';
import { productExample } from './products.ts';
import { alsoBoughtAnswerSchema } from './recommendations.ts';
import { similarAnswerSchema, similarProducts } from './search.ts';

export const productPageParts = ['product', 'similar', 'also_bought', 'stock'] as const;
export type ProductPagePart = (typeof productPageParts)[number];

export const partStatusSchema = z.enum(['ok', 'unavailable', 'timeout', 'not_found', 'forbidden']).meta({
  description: 'unavailable: its service failed or is left alone; timeout: not there within the time of this part; not_found: nothing is known of the product there; forbidden: the caller lacks the scope of this part',
});
export type PartStatus = z.output<typeof partStatusSchema>;

const part = <S extends z.ZodType>(data: S) =>
  z
    .object({
      status: partStatusSchema,
      data: data.nullable().meta({ description: 'null: status is not ok' }),
      detail: z.string().nullable().meta({ description: 'Why it is not ok' }),
      age_seconds: z.int().nullable().meta({ description: 'Of an answer from the cache; null: the service has said it now' }),
    })
    .optional();

const stockSchema = z.object({ stock: productSchema.shape.stock, in_stock: z.boolean().meta({ description: 'false: stock is 0' }), version: productSchema.shape.version });

export const productPageSchema = z
  .object({
    sku: z.string(),
    complete: z.boolean().meta({ description: 'true: every part that was asked for is ok' }),
    parts: z.object({ product: part(productSchema), similar: part(similarAnswerSchema), also_bought: part(alsoBoughtAnswerSchema), stock: part(stockSchema) }),
  })
  .meta({ id: 'ProductPage' });
export type ProductPage = z.output<typeof productPageSchema>;

const some = z.array(z.enum(productPageParts)).min(1).max(productPageParts.length);

const example = (data: unknown, age: number | null) => ({ status: 'ok', data, detail: null, age_seconds: age });

export const getProductPage = defineOperation({
  operationId: 'getProductPage', method: 'get', path: '/api/pages/product/{sku}', service: 'gateway', scope: 'products:read', summary: 'What a product page shows, in one call',
  description:
    'Product, similar products, what is bought together and the stock are asked for at once; each has 2 s (the product 3 s) and its own status, and what is there is answered 200, also where the product itself is not. Parts come from the cache as their own operations do; the stock never does. 404: the product does not exist. 403, 503: no part is there, because the caller may see none, or because none could be had.',
  params: z.strictObject({ sku: skuSchema }),
  query: z.strictObject({
    parts: z.union([z.array(z.string()), z.string().transform((one) => one.split(','))]).pipe(some).default([...productPageParts])
      .meta({ description: `Which ones: repeatable, or separated by commas; default: all of ${productPageParts.join(', ')}`, example: 'product,stock' }),
    limit: z.coerce.number().int().min(1).max(50).default(10).meta({ description: 'Of each list' }),
  }),
  responses: {
    200: { description: 'What is there', schema: productPageSchema, example: {
      sku: 'MR-0001', complete: false,
      parts: {
        product: example(productExample, 12), similar: example(similarProducts.responses[200].example, 3), also_bought: { status: 'timeout', data: null, detail: 'recommender did not answer in time', age_seconds: null },
        stock: example({ stock: 12, in_stock: true, version: 1204 }, null),
      },
    } },
  },
});

export const pageOperations = [getProductPage] as const;
