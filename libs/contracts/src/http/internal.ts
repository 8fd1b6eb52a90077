import { z } from 'zod';
import { productSchema, skuSchema } from '../product.ts';

/** `GET /internal/products/export` of catalog-api. */
export const exportQuery = z.strictObject({
  /** Cursor: the `after` of a line before. */
  after: z.string().max(1_000).optional(),
  updated_since: z.iso.datetime({ offset: true }).optional(),
  limit: z.coerce.number().int().min(1).max(1_000_000).optional(),
});

/**
 * One NDJSON line: a product, a tombstone, or the watermark that ends the answer. Keyset by (updated_at, sku). The watermark is
 * the oldest start among the running writing sessions of catalog-api (else now): where the next sweep may begin.
 */
export const exportLineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('product'), product: productSchema, after: z.string() }),
  z.object({ type: z.literal('tombstone'), sku: skuSchema, version: z.int(), updated_at: z.string(), after: z.string() }),
  z.object({ type: z.literal('watermark'), watermark: z.string(), rows: z.int(), complete: z.boolean() }),
]);
export type ExportLine = z.output<typeof exportLineSchema>;
