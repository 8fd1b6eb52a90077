import type { RawEntry } from '@millrace/bus';
import { z } from 'zod';
import type { Delivered } from './pull.ts';

const flatFields = z.array(z.string());

/** `<ms>-<number>`: the server's time and the place in the stream. */
export const idOf = (ms: number, number: number): string => `${ms}-${number}`;
export const numberOf = (id: string): number => Number(id.slice(id.lastIndexOf('-') + 1));
export const encodeFields = (fields: readonly string[]): string => JSON.stringify(fields);

/** A message of another producer that is no list of texts has no fields, and is parked. */
export function decodeFields(data: Uint8Array): readonly string[] {
  try {
    return flatFields.parse(JSON.parse(new TextDecoder().decode(data)));
  } catch {
    return [];
  }
}

export const toRawEntry = ({ ms, number, data }: Pick<Delivered, 'ms' | 'number' | 'data'>): RawEntry => ({ id: idOf(ms, number), fields: decodeFields(data) });
export const toMap = (fields: readonly string[]): ReadonlyMap<string, string> => new Map(fields.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, fields[at + 1] ?? '']] : [])));
