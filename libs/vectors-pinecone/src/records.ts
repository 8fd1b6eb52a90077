import { hash } from 'node:crypto';
import type { StoredRow, VectorModel, VectorPayload } from '@millrace/vectors';
import type { PineconeRecord } from '@pinecone-database/pinecone';
import { z } from 'zod';

/** Ids and filters are hashes: plain letters, whatever a product's texts are. */
export const keyOf = (text: string): string => hash('sha256', text, 'hex').slice(0, 32);
const keyOrNone = (text: string | null): string => (text === null ? '' : keyOf(text));

/** Of a collection: what searches find, and the rest (tombstones, products without a vector), so that no search and no count meets it. */
export const spacesOf = (collection: string) => ({ found: collection, rest: `${collection}-rest` });

const payloadSchema = z.object({
  name: z.string(), category: z.string().nullable(), brand: z.string().nullable(), merchant_id: z.number(), price_minor: z.number().nullable(), currency: z.string(), in_stock: z.boolean(), image_url: z.string().nullable(),
}) satisfies z.ZodType<VectorPayload>;
const productBody = z.object({ sku: z.string(), textHash: z.string(), embeddedAt: z.string(), payload: payloadSchema });
const tombstoneBody = z.object({ sku: z.string(), category: z.string().nullable() });
const metadataSchema = z.looseObject({ kind: z.enum(['product', 'tombstone']), version: z.number(), deleted_at: z.number(), body: z.string() });
const recordSchema = z.looseObject({ id: z.string(), values: z.array(z.number()).default([]), metadata: metadataSchema });

/** An index has no records without a vector, nor with one that is zero. */
export const placeholder = (dimensions: number): number[] => Array.from({ length: dimensions }, (_value, at) => (at === 0 ? 1 : 0));

export const isFound = (row: StoredRow): boolean => !row.deleted && row.vector !== undefined;

export function toRecord(row: StoredRow, dimensions: number): PineconeRecord {
  const body = row.deleted
    ? ({ sku: row.sku, category: row.category } satisfies z.input<typeof tombstoneBody>)
    : ({ sku: row.sku, textHash: row.textHash, embeddedAt: row.embeddedAt, payload: row.payload } satisfies z.input<typeof productBody>);
  const [category, brand] = row.deleted ? [null, null] : [row.payload.category, row.payload.brand];
  return {
    id: keyOf(row.sku), values: row.deleted || row.vector === undefined ? placeholder(dimensions) : [...row.vector],
    metadata: { key: keyOf(row.sku), kind: row.deleted ? 'tombstone' : 'product', version: row.version, deleted_at: row.deleted ? row.deletedAtMs : 0, category_key: keyOrNone(category), brand_key: keyOrNone(brand), body: JSON.stringify(body) },
  };
}

/** `hasVector`: it is of the namespace that searches find. */
export function toStoredRow(record: unknown, { hasVector }: { readonly hasVector: boolean }): StoredRow {
  const { values, metadata: { kind, version, deleted_at: deletedAtMs, body } } = recordSchema.parse(record);
  if (kind === 'tombstone') return { deleted: true, version, deletedAtMs, ...tombstoneBody.parse(JSON.parse(body)) };
  return { deleted: false, version, ...productBody.parse(JSON.parse(body)), ...(hasVector && values.length > 0 && { vector: Float32Array.from(values) }) };
}

export const toHitBody = (metadata: unknown): z.output<typeof productBody> => productBody.parse(JSON.parse(metadataSchema.parse(metadata).body));

/** Metadata of one record is 40 KB at most. */
const partBytes = 24_000;

export const liveId = 'live';
export const collectionId = (collection: string): string => `collection:${collection}`;
const partId = (collection: string, part: number): string => `document:${collection}:${part}`;
export const partIds = (collection: string, parts: number): string[] => Array.from({ length: parts }, (_part, at) => partId(collection, at));

const headSchema = z.looseObject({ model_id: z.string(), dimensions: z.number(), parts: z.number() });
export type ModelHead = z.output<typeof headSchema>;
export const toHead = (metadata: unknown): ModelHead => headSchema.parse(metadata);

/** The model's records, the one that names it last: a collection with it is complete. */
export function modelRecords(collection: string, { id, dimensions, document }: VectorModel): PineconeRecord[] {
  const bytes = Buffer.from(document, 'utf8');
  const parts = Math.ceil(bytes.length / partBytes);
  const values = placeholder(dimensions);
  return [
    ...partIds(collection, parts).map((part, at) => ({ id: part, values, metadata: { part: bytes.subarray(at * partBytes, (at + 1) * partBytes).toString('base64') } })),
    { id: collectionId(collection), values, metadata: { model_id: id, dimensions, parts } },
  ];
}
