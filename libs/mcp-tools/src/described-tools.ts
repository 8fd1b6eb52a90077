import type { Tool as ListedTool } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { envelopeOf } from './tool.ts';
import type { Tool } from './tool.ts';

/** Classes of Unicode are not known to every reader of JSON Schema; the server checks them all the same. */
const withoutClasses = ({ jsonSchema }: { readonly jsonSchema: { pattern?: string | undefined } }): void => {
  if (jsonSchema.pattern?.includes('\\p') === true) delete jsonSchema.pattern;
};
const toJson = (schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> => ({ ...z.toJSONSchema(schema, { io, override: withoutClasses }) });
const isObject = (schema: Record<string, unknown>): schema is Record<string, unknown> & { type: 'object' } => schema['type'] === 'object';

function objectSchema(schema: z.ZodType, io: 'input' | 'output'): ListedTool['inputSchema'] {
  const json = toJson(schema, io);
  if (!isObject(json)) throw new Error('arguments and answers of tools are objects');
  return json;
}

const described = new WeakMap<Tool, ListedTool>();

/** A tool as `tools/list` shows it; made once. */
export function describeTool(tool: Tool): ListedTool {
  const known = described.get(tool);
  if (known) return known;
  const { name, title, description, annotations, input, output } = tool;
  const listed: ListedTool = { name, title, description, inputSchema: objectSchema(input, 'input'), outputSchema: objectSchema(envelopeOf(output), 'output'), annotations: { title, ...annotations } };
  described.set(tool, listed);
  return listed;
}
