import { z } from 'zod';

/** The parts of JSON Schema (2020-12) that the comparison knows; what else there is stays beside them. */
const objectSchema = z.looseObject({
  $ref: z.string().optional(),
  type: z.union([z.string().transform((one) => [one]), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  get properties() { return z.record(z.string(), schemaSchema).optional(); },
  get additionalProperties() { return schemaSchema.optional(); },
  get items() { return schemaSchema.optional(); },
  get anyOf() { return z.array(schemaSchema).optional(); },
  get oneOf() { return z.array(schemaSchema).optional(); },
});
const schemaSchema = z.union([z.boolean(), objectSchema]);
/** true: any value, false: none. */
export type Schema = z.output<typeof schemaSchema>;
export type ObjectSchema = z.output<typeof objectSchema>;

const contentSchema = z.record(z.string(), z.object({ schema: schemaSchema.default(true) })).default({});

const operationSchema = z.object({
  operationId: z.string().default(''),
  'x-scope': z.string().optional(),
  security: z.array(z.record(z.string(), z.unknown())).default([]),
  parameters: z.array(z.object({ in: z.string(), name: z.string(), required: z.boolean().default(false), schema: schemaSchema.default(true) })).default([]),
  requestBody: z.object({ required: z.boolean().default(false), content: contentSchema }).optional(),
  responses: z.record(z.string(), z.object({ content: contentSchema, headers: z.record(z.string(), z.unknown()).default({}) })).default({}),
});
export type Operation = z.output<typeof operationSchema>;

const documentSchema = z.object({
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.object({ schemas: z.record(z.string(), schemaSchema).default({}) }).default({ schemas: {} }),
});
/** An OpenAPI 3.1 document as far as it is compared. */
export type Document = z.output<typeof documentSchema>;

/** Throws where it is none. */
export const parseDocument = (text: string): Document => documentSchema.parse(JSON.parse(text));

const PREFIX = '#/components/schemas/';

/** The name of the component that a schema stands for; undefined where it is written out. */
export const nameOf = (schema: Schema): string | undefined => (typeof schema === 'object' && schema.$ref?.startsWith(PREFIX) === true ? schema.$ref.slice(PREFIX.length) : undefined);

/** What a schema stands for. Throws for a reference to nothing. */
export function resolve(document: Document, schema: Schema): ObjectSchema {
  if (typeof schema === 'boolean') return schema ? {} : { not: {} };
  const name = nameOf(schema);
  if (name === undefined) return schema;
  const found = document.components.schemas[name];
  if (found === undefined) throw new Error(`the document has no schema ${name}`);
  return resolve(document, found);
}
