import { toMinor } from '@millrace/contracts';
import type { PosChange, Product, ProductPatch } from '@millrace/contracts';
import type { Wanted } from './to-catalogue.ts';

/** Fields that both may write: they follow the POS until somebody edits them in the catalogue. Price, currency and stock are the POS' alone. */
export const sharedFields = ['name', 'description', 'category', 'brand', 'ean', 'image_url', 'attributes', 'status'] as const;
export type SharedField = (typeof sharedFields)[number];
export type SharedValues = Readonly<Record<string, unknown>>;

export interface Known {
  readonly base: SharedValues;
  readonly pending: SharedValues | null;
}

export interface Merge {
  readonly patch: ProductPatch;
  readonly fields: PosChange['fields'];
  /** Edited in the catalogue, and other than the POS has it. */
  readonly kept: readonly SharedField[];
}

/** The same JSON, whatever the order of its names. */
export function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => isSame(item, b[at]));
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) || Array.isArray(b)) return a === b;
  const [left, right] = [new Map<string, unknown>(Object.entries(a)), new Map<string, unknown>(Object.entries(b))];
  return left.size === right.size && [...left].every(([name, value]) => right.has(name) && isSame(value, right.get(name)));
}

const isEmpty = (value: unknown): boolean => value === null || value === '' || (Array.isArray(value) && value.length === 0) || (typeof value === 'object' && !Array.isArray(value) && Object.keys(value ?? {}).length === 0);

/** What the POS says of the shared fields. */
export const sharedOf = (wanted: Wanted): SharedValues => Object.fromEntries(sharedFields.map((field) => [field, wanted[field]]));

/** Has nobody edited it since the POS' value was written? Of what the catalogue knew before the POS did only gaps are filled. */
function mayWrite(field: SharedField, current: unknown, known: Known | undefined): boolean {
  if (known?.pending && isSame(current, known.pending[field])) return true;
  if (known === undefined || Object.keys(known.base).length === 0) return field !== 'status' && isEmpty(current);
  return isSame(current, known.base[field]);
}

type Json = PosChange['fields'][string]['from'];

/** What has to be written so that the product is as the POS has it, where the POS decides. Nothing: the same data again changes nothing. */
export function mergeProduct(wanted: Wanted, current: Product, known: Known | undefined): Merge {
  const fields: PosChange['fields'] = {};
  const kept: SharedField[] = [];
  const patch: Record<string, unknown> = {};
  const set = (field: string, from: Json, to: Json): void => {
    patch[field] = to;
    fields[field] = { from, to };
  };
  const minor = wanted.price === null ? null : toMinor(wanted.price, wanted.currency);
  if (current.currency !== wanted.currency) set('currency', current.currency, wanted.currency);
  if (current.currency !== wanted.currency || current.price_minor !== minor) set('price', current.price, wanted.price);
  if (wanted.stock !== null && current.stock !== wanted.stock) set('stock', current.stock, wanted.stock);
  for (const field of sharedFields) {
    if (isSame(current[field], wanted[field])) continue;
    if (mayWrite(field, current[field], known)) set(field, current[field], wanted[field]);
    else kept.push(field);
  }
  return { patch, fields, kept };
}
