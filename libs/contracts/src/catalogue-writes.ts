import { z } from 'zod';
import { newProductSchema, productPatchSchema, productSchema, skuSchema } from './product.ts';

/** Of the product as the source has seen it; selling does not change it. */
const content_version = z.int().positive();

/**
 * `POST /internal/products/apply` of catalog-api: what another service, as `source`, writes into the catalogue. A change is applied where the
 * content of the product is still what the source has seen; `fence`: the number of the source's lease, smaller ones than the last that wrote are refused whole.
 */
export const applyChangesBody = z.strictObject({
  source: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
  fence: z.int().nonnegative(),
  changes: z.array(z.discriminatedUnion('op', [
    z.strictObject({ op: z.literal('create'), product: newProductSchema }),
    z.strictObject({ op: z.literal('patch'), sku: skuSchema, content_version, patch: productPatchSchema }),
    z.strictObject({ op: z.literal('delete'), sku: skuSchema, content_version }),
  ])).min(1).max(500),
});
export type ApplyChanges = z.input<typeof applyChangesBody>;

/** In the order of the changes. `moved`: the product is not as the source has seen it, and nothing was done. */
export const appliedSchema = z.object({
  results: z.array(z.discriminatedUnion('state', [
    z.object({ state: z.literal('applied'), sku: z.string(), product: productSchema.nullable() }),
    z.object({ state: z.literal('moved'), sku: z.string() }),
    z.object({ state: z.literal('refused'), sku: z.string(), code: z.string(), detail: z.string() }),
  ])),
});
export type Applied = z.output<typeof appliedSchema>;
