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

const range = { from: skuSchema.optional(), to: skuSchema.optional() };

/** `GET /internal/products/digests`: the active products from sku `from` (inclusive) to `to` (exclusive), by bytes, in at most `buckets` buckets of equal size. */
export const digestsQuery = z.strictObject({ ...range, buckets: z.coerce.number().int().min(1).max(8_192).default(1) });
export const digestsSchema = z.object({
  products: z.int(),
  /** In order, without gaps between them; null = the end that the question left open. Digest: XOR of the first 64 bits of SHA-256("<sku>\n<version>"), 16 hex digits. */
  buckets: z.array(z.object({ from: z.string().nullable(), to: z.string().nullable(), products: z.int(), digest: z.string() })),
});
export type DigestsBody = z.output<typeof digestsSchema>;

/** `GET /internal/products/versions`: [sku, version] of the active products of a range, by sku; `next` is the `after` of the next page. */
export const versionsQuery = z.strictObject({ ...range, after: skuSchema.optional(), limit: z.coerce.number().int().min(1).max(10_000).default(10_000) });
export const versionsSchema = z.object({ data: z.array(z.tuple([z.string(), z.int()])), next: z.string().nullable() });
export type VersionsBody = z.output<typeof versionsSchema>;

/** `POST /internal/products/states`: the present states of some skus. Those that the catalogue does not know are left out. `last_version` was drawn after they were read. */
export const statesBody = z.strictObject({ skus: z.array(skuSchema).min(1).max(1_000) });
export const statesSchema = z.object({
  last_version: z.int(),
  data: z.array(z.discriminatedUnion('type', [
    z.object({ type: z.literal('product'), product: productSchema }),
    z.object({ type: z.literal('tombstone'), sku: skuSchema, version: z.int(), updated_at: z.string() }),
  ])),
});

/** `POST /internal/rerank` of recommender: body as in rerankItems; only the order comes back. Given products that are not in it were left out. */
export const internalRerankAnswerSchema = z.object({ ranking_id: z.uuid(), data: z.array(z.string()), context: z.enum(['live', 'none', 'unavailable']) });
export type InternalRerankAnswer = z.output<typeof internalRerankAnswerSchema>;
