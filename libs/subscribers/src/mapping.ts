import { z } from 'zod';
import { datasetNames, datasets } from './datasets.ts';
import type { DatasetName } from './datasets.ts';
import { LoadRefusedError } from './errors.ts';

/** Where a column comes from: the file's header, or the value of a blank cell (of all cells where no column is named). */
const sourceSchema = z.union([z.string().min(1).transform((column) => ({ column, default: undefined })), z.strictObject({ column: z.string().min(1).optional(), default: z.string().optional() })]);
const mappingSchema = z.strictObject(Object.fromEntries(datasetNames.map((name) => [name, z.record(z.string(), sourceSchema).optional()])));

export interface ColumnSource {
  readonly column?: string | undefined;
  readonly default?: string | undefined;
}
/** Our column names to where they come from; columns that are not named are found by their header. */
export type ColumnMapping = Readonly<Record<string, ColumnSource>>;
export type FileMappings = Readonly<Partial<Record<DatasetName, ColumnMapping>>>;

/**
 * Reads a mapping file: `{"recommendations": {"isdn": "customerID", "bad_debt_risk": {"default": "LOW"}}}`.
 * Throws LoadRefusedError with a sentence that names what is wrong.
 */
export function parseMappings(text: string): FileMappings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new LoadRefusedError('the mapping file is not JSON', { cause: error });
  }
  const parsed = mappingSchema.safeParse(json);
  if (!parsed.success) throw new LoadRefusedError(`the mapping file is wrong at /${parsed.error.issues[0]?.path.join('/') ?? ''}: write {"recommendations": {"isdn": "<header>", "bad_debt_risk": {"column": "<header>", "default": "LOW"}}}`);
  const mappings: Partial<Record<DatasetName, ColumnMapping>> = {};
  for (const name of datasetNames) {
    const mapping = parsed.data[name];
    if (mapping === undefined) continue;
    const unknown = Object.keys(mapping).find((column) => !datasets[name].columns.some((known) => known.name === column));
    if (unknown !== undefined) throw new LoadRefusedError(`the mapping file names a column ${unknown} that ${name} does not have: it has ${datasets[name].columns.map((column) => column.name).join(', ')}`);
    mappings[name] = mapping;
  }
  return mappings;
}
