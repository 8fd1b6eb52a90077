import { isDeepStrictEqual } from 'node:util';
import { nameOf, resolve } from './document.ts';
import type { Document, ObjectSchema, Schema } from './document.ts';

/** One of the alternatives that a schema allows, of one type. */
export interface Variant {
  /** What it is called in messages, and found again by: string, null, Product, type="progress", or any. */
  readonly name: string;
  /** undefined: any. */
  readonly type: string | undefined;
  readonly schema: ObjectSchema;
}

/** The values that are allowed; undefined: not listed. */
export const valuesOf = (schema: ObjectSchema): readonly unknown[] | undefined => ('const' in schema ? [schema['const']] : schema.enum);

/** The property by whose one value an object is told from its siblings. */
function discriminatorOf(document: Document, schema: ObjectSchema): string | undefined {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const [value, ...more] = valuesOf(resolve(document, property)) ?? [];
    if (value !== undefined && more.length === 0) return `${name}=${JSON.stringify(value)}`;
  }
  return undefined;
}

const typesOf = (schema: ObjectSchema): readonly (string | undefined)[] => {
  if (schema.type !== undefined) return schema.type;
  const values = valuesOf(schema);
  return values === undefined ? [undefined] : [...new Set(values.map((value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)))];
};

const isOfType = (value: unknown, type: string | undefined): boolean => (type === 'null') === (value === null);

function flatten(document: Document, schema: Schema): readonly Variant[] {
  const found = resolve(document, schema);
  const { anyOf, oneOf, ...rest } = found;
  if (anyOf ?? oneOf) return [...(anyOf ?? []), ...(oneOf ?? [])].flatMap((one) => flatten(document, one));
  return typesOf(rest).map((type) => {
    const values = found.enum?.filter((value) => isOfType(value, type));
    const own: ObjectSchema = { ...rest, ...(type !== undefined && { type: [type] }), ...(values && { enum: values }) };
    return { name: nameOf(schema) ?? discriminatorOf(document, found) ?? type ?? 'any', type, schema: own };
  });
}

/** All alternatives of a schema, the same one once; names are unique. */
export function variantsOf(document: Document, schema: Schema): readonly Variant[] {
  const variants: Variant[] = [];
  for (const variant of flatten(document, schema)) {
    if (variants.some((one) => one.name === variant.name && isDeepStrictEqual(one.schema, variant.schema))) continue;
    const same = variants.filter((one) => one.name.replace(/#\d+$/, '') === variant.name).length;
    variants.push(same === 0 ? variant : { ...variant, name: `${variant.name}#${same + 1}` });
  }
  return variants;
}
