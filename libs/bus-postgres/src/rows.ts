import type { RawEntry } from '@millrace/bus';
import { z } from 'zod';

/** bigint comes as text; the numbers of entries stay far below 2^53. */
const numeric = z.union([z.number(), z.string()]).transform(Number);

const entryRow = z.object({ number: numeric, ms: numeric, fields: z.string() });
const flatFields = z.array(z.string());

export interface EntryRow {
  readonly number: number;
  readonly entry: RawEntry;
}

/** `<ms>-<number>`: rises with the numbers, as the ids of Redis do. */
export const idOf = (ms: number, number: number): string => `${ms}-${number}`;
export const numberOf = (id: string): number => Number(id.slice(id.lastIndexOf('-') + 1));
export const flat = (text: string): readonly string[] => flatFields.parse(JSON.parse(text));

export function toEntry(row: Readonly<Record<string, unknown>>): EntryRow {
  const { number, ms, fields } = entryRow.parse(row);
  return { number, entry: { id: idOf(ms, number), fields: flat(fields) } };
}
export const toNumber = (value: unknown): number => numeric.parse(value);
export const toText = (value: unknown): string => z.string().parse(value);

/** Postgres' text holds no NUL. */
export const plain = (text: string): string => text.replaceAll('\0', '');
