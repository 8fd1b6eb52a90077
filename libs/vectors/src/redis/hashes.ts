import { VectorsUnavailableError } from '../errors.ts';
import type { VectorPayload, VectorRecord } from '../ports.ts';
import { toTag } from './names.ts';

/** A hash's fields in a row: name, value, name, value. */
export type FieldList = readonly (string | number | Buffer)[];

/** What is written over a hash, and what must not be left in it: null is the absence of a field. */
export interface HashChange { readonly set: FieldList; readonly clear: readonly string[] }

const nullable = ['category', 'brand', 'price_minor', 'image_url'] as const;
const tags = { category: 'category_tag', brand: 'brand_tag' } as const;
/** Fields that a tombstone does not keep. Its category stays: the caller purges that category's answers. */
export const productFields = ['vector', 'text_hash', 'embedded_at', 'name', 'brand', 'brand_tag', 'category_tag', 'merchant_id', 'price_minor', 'currency', 'in_stock', 'image_url'];

/** Fields of an answer's hit, in the order of `toHit`. */
export const payloadFields = ['name', 'category', 'brand', 'merchant_id', 'price_minor', 'currency', 'in_stock', 'image_url'] as const;

export function toPayloadChange(payload: VectorPayload): HashChange {
  const present = nullable.filter((field) => payload[field] !== null);
  const tagged = [['category', tags.category], ['brand', tags.brand]] as const;
  return {
    set: [
      'name', payload.name, 'merchant_id', payload.merchant_id, 'currency', payload.currency, 'in_stock', payload.in_stock ? 1 : 0,
      ...present.flatMap((field) => [field, payload[field] ?? '']),
      ...tagged.flatMap(([field, tag]) => [tag, toTag(payload[field] ?? '')].slice(payload[field] === null ? 2 : 0)),
    ],
    clear: [...nullable.filter((field) => payload[field] === null), ...tagged.flatMap(([field, tag]) => (payload[field] === null ? [tag] : []))],
  };
}

export function toRecordChange({ sku, vector, textHash, embeddedAt, payload }: VectorRecord, model: string): HashChange {
  const { set, clear } = toPayloadChange(payload);
  const vectorField = vector === undefined ? [] : ['vector', Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)];
  return {
    set: ['sku', sku, 'model', model, 'text_hash', textHash, 'embedded_at', embeddedAt, ...set, ...vectorField],
    clear: ['deleted', 'deleted_at', ...clear, ...(vector === undefined ? ['vector'] : [])],
  };
}

type Fields = (name: string) => string | undefined;

/** Throws VectorsUnavailableError for a hash that this store did not write. */
function required(field: Fields, name: string): string {
  const value = field(name);
  if (value === undefined) throw new VectorsUnavailableError(`a stored vector has no ${name}: did something else write it?`);
  return value;
}

export const toPayload = (field: Fields): VectorPayload => ({
  name: required(field, 'name'),
  category: field('category') ?? null,
  brand: field('brand') ?? null,
  merchant_id: Number(required(field, 'merchant_id')),
  price_minor: field('price_minor') === undefined ? null : Number(field('price_minor')),
  currency: required(field, 'currency'),
  in_stock: required(field, 'in_stock') === '1',
  image_url: field('image_url') ?? null,
});

/** Of HMGET with these names, as bytes. */
export const recordFields = ['version', 'deleted', 'text_hash', 'embedded_at', 'vector', ...payloadFields] as const;

/** Undefined for what is not there, and for tombstones. */
export function toRecord(sku: string, values: readonly (Buffer | undefined)[]): VectorRecord | undefined {
  const bytes = (name: string): Buffer | undefined => values[recordFields.findIndex((field) => field === name)];
  const field: Fields = (name) => bytes(name)?.toString('utf8');
  if (field('version') === undefined || field('deleted') !== undefined) return undefined;
  const vector = bytes('vector');
  return {
    sku,
    version: Number(field('version')),
    ...(vector !== undefined && { vector: new Float32Array(new Uint8Array(vector).buffer) }),
    textHash: required(field, 'text_hash'),
    payload: toPayload(field),
    embeddedAt: required(field, 'embedded_at'),
  };
}
