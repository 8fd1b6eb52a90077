import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { VectorModel, VectorPayload, VectorRecord } from '../ports.ts';

/** Named, because a point may lack a named vector: tombstones and products without a term are points that no search can find. */
export const vectorName = 'text';

/** Of this product only: UUIDv5 under a namespace of our own. */
const namespace = Buffer.from('9b1f6c0e5d5b4c0f8f0a3a1d2b7e4c66', 'hex');

/** The point of a sku (RFC 9562, version 5): Qdrant's ids are integers or UUIDs. */
export function pointId(sku: string): string {
  const digest = createHash('sha1').update(namespace).update(sku, 'utf8').digest();
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  return digest.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Where a collection keeps its model. No sku has this id but by a collision of SHA-1. */
export const modelPointId = '00000000-0000-8000-8000-6d6f64656c00';

/** Fields that filters use. */
export const payloadIndexes = { category: 'keyword', brand: 'keyword', text_hash: 'keyword', version: 'integer', deleted: 'bool', deleted_at: 'integer' } as const;

const payloadFields = {
  name: z.string(),
  category: z.string().nullable(),
  brand: z.string().nullable(),
  merchant_id: z.number(),
  price_minor: z.number().nullable(),
  currency: z.string(),
  in_stock: z.boolean(),
  image_url: z.string().nullable(),
};

/** Payload of a product's point. */
export const productPointSchema = z.object({ sku: z.string(), version: z.number(), deleted: z.literal(false), text_hash: z.string(), embedded_at: z.string(), ...payloadFields });
export type ProductPoint = z.output<typeof productPointSchema>;

/** What a description needs, of products and tombstones. */
export const describedPointSchema = z.object({
  sku: z.string(),
  version: z.number(),
  deleted: z.boolean(),
  text_hash: z.string().optional(),
  embedded_at: z.string().optional(),
  category: z.string().nullable().optional(),
});

export const modelPointSchema = z.object({ model_id: z.string(), dimensions: z.number(), document: z.string() });

export const toProductPoint = ({ sku, version, textHash, embeddedAt, payload }: VectorRecord): ProductPoint => ({
  sku, version, deleted: false, text_hash: textHash, embedded_at: embeddedAt, ...payload,
});

export const toPayload = ({ name, category, brand, merchant_id, price_minor, currency, in_stock, image_url }: ProductPoint): VectorPayload => ({
  name, category, brand, merchant_id, price_minor, currency, in_stock, image_url,
});

export const toModel = ({ model_id, dimensions, document }: z.output<typeof modelPointSchema>): VectorModel => ({ id: model_id, dimensions, document });

const namedVectorSchema = z.object({ [vectorName]: z.array(z.number()).optional() });

/** Undefined for a point that has none. */
export function vectorOf(vector: unknown): Float32Array | undefined {
  const values = namedVectorSchema.safeParse(vector).data?.[vectorName];
  return values === undefined ? undefined : Float32Array.from(values);
}
