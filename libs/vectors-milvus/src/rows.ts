import { hash } from 'node:crypto';
import { VectorsUnavailableError } from '@millrace/vectors';
import type { StoredRow, VectorModel, VectorPayload } from '@millrace/vectors';
import { DataType } from '@zilliz/milvus2-sdk-node';
import type { FieldType, RowData } from '@zilliz/milvus2-sdk-node';
import { z } from 'zod';

/** Ids and filters are hashes, so that no text of a product is ever part of an expression. */
export const keyOf = (text: string): string => hash('sha256', text, 'hex').slice(0, 32);
const keyOrNone = (text: string | null): string => (text === null ? '' : keyOf(text));

/** Ids of products are hexadecimal: these are of none. */
export const modelId = '~model';
const partId = (part: number): string => `~part${String(part).padStart(4, '0')}`;
/** Base64 of so many bytes fits into a VarChar. */
const partBytes = 45_000;

const maxVarChar = 65_535;

/** `findable`: has a vector and is no tombstone. The vector of all others is a placeholder: Milvus has no rows without one. */
export const fieldsFor = (dimensions: number): FieldType[] => [
  { name: 'id', data_type: DataType.VarChar, is_primary_key: true, max_length: 40 },
  { name: 'vector', data_type: DataType.FloatVector, dim: dimensions },
  { name: 'kind', data_type: DataType.VarChar, max_length: 16 },
  { name: 'findable', data_type: DataType.Bool },
  { name: 'category_key', data_type: DataType.VarChar, max_length: 40 },
  { name: 'brand_key', data_type: DataType.VarChar, max_length: 40 },
  { name: 'version', data_type: DataType.Int64 },
  { name: 'deleted_at', data_type: DataType.Int64 },
  { name: 'body', data_type: DataType.VarChar, max_length: maxVarChar },
];

const payloadSchema = z.object({
  name: z.string(), category: z.string().nullable(), brand: z.string().nullable(), merchant_id: z.number(), price_minor: z.number().nullable(), currency: z.string(), in_stock: z.boolean(), image_url: z.string().nullable(),
}) satisfies z.ZodType<VectorPayload>;

const productBody = z.object({ sku: z.string(), textHash: z.string(), embeddedAt: z.string(), payload: payloadSchema });
const tombstoneBody = z.object({ sku: z.string(), category: z.string().nullable() });
const modelBody = z.object({ id: z.string(), dimensions: z.number(), parts: z.number() });

const rowSchema = z.looseObject({ kind: z.enum(['product', 'tombstone']), findable: z.boolean(), version: z.coerce.number(), deleted_at: z.coerce.number(), body: z.string(), vector: z.array(z.number()).optional() });

/** What is read of a row; `vector` where it is wanted. */
export const rowFields = ['kind', 'findable', 'version', 'deleted_at', 'body'];
/** What is read of a hit. */
export const hitFields = ['body'];

const placeholder = (dimensions: number): number[] => Array.from({ length: dimensions }, (_value, at) => (at === 0 ? 1 : 0));

export function toRowData(row: StoredRow, dimensions: number): RowData {
  const vector = row.deleted || row.vector === undefined ? undefined : [...row.vector];
  const body = row.deleted
    ? ({ sku: row.sku, category: row.category } satisfies z.input<typeof tombstoneBody>)
    : ({ sku: row.sku, textHash: row.textHash, embeddedAt: row.embeddedAt, payload: row.payload } satisfies z.input<typeof productBody>);
  return {
    id: keyOf(row.sku), vector: vector ?? placeholder(dimensions), kind: row.deleted ? 'tombstone' : 'product', findable: vector !== undefined,
    category_key: row.deleted ? '' : keyOrNone(row.payload.category), brand_key: row.deleted ? '' : keyOrNone(row.payload.brand),
    version: row.version, deleted_at: row.deleted ? row.deletedAtMs : 0, body: JSON.stringify(body),
  };
}

export function toStoredRow(data: unknown): StoredRow {
  const { kind, findable, version, deleted_at: deletedAtMs, body, vector } = rowSchema.parse(data);
  if (kind === 'tombstone') return { deleted: true, version, deletedAtMs, ...tombstoneBody.parse(JSON.parse(body)) };
  return { deleted: false, version, ...productBody.parse(JSON.parse(body)), ...(findable && vector !== undefined && { vector: Float32Array.from(vector) }) };
}

export const toHitBody = (body: unknown): z.output<typeof productBody> => productBody.parse(JSON.parse(z.string().parse(body)));

/** Rows of the model, the one that names it last: a collection with it is complete. */
export function modelRows({ id, dimensions, document }: VectorModel): RowData[] {
  const bytes = Buffer.from(document, 'utf8');
  const parts = Math.ceil(bytes.length / partBytes);
  const row = (rowId: string, body: string): RowData => ({ id: rowId, vector: placeholder(dimensions), kind: 'model', findable: false, category_key: '', brand_key: '', version: 0, deleted_at: 0, body });
  return [
    ...Array.from({ length: parts }, (_part, at) => row(partId(at), bytes.subarray(at * partBytes, (at + 1) * partBytes).toString('base64'))),
    row(modelId, JSON.stringify({ id, dimensions, parts } satisfies z.input<typeof modelBody>)),
  ];
}

export interface ModelHead { readonly id: string; readonly dimensions: number; readonly partIds: readonly string[] }

export function toModelHead(body: unknown): ModelHead {
  const { id, dimensions, parts } = modelBody.parse(JSON.parse(z.string().parse(body)));
  return { id, dimensions, partIds: Array.from({ length: parts }, (_part, at) => partId(at)) };
}

/** @throws VectorsUnavailableError where a part is missing: the collection was swapped in between */
export function toModel({ id, dimensions, partIds }: ModelHead, bodies: ReadonlyMap<string, string>): VectorModel {
  const document = Buffer.concat(partIds.map((part) => {
    const body = bodies.get(part);
    if (body === undefined) throw new VectorsUnavailableError('the model of the vector collection is incomplete, or it was swapped this very moment');
    return Buffer.from(body, 'base64');
  })).toString('utf8');
  return { id, dimensions, document };
}
