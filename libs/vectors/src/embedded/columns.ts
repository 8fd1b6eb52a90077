/** A row as node:sqlite returns it. */
export type Row = Readonly<Record<string, unknown>>;

const wrong = (row: Row, name: string, type: string): Error => new Error(`column ${name} is not ${type} but ${typeof row[name]}: not a file of this version?`);

export function text(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw wrong(row, name, 'a text');
  return value;
}

export const textOrNull = (row: Row, name: string): string | null => (row[name] === null ? null : text(row, name));

export function integer(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== 'number') throw wrong(row, name, 'a number');
  return value;
}

export const integerOrNull = (row: Row, name: string): number | null => (row[name] === null ? null : integer(row, name));

export function bytesOrNull(row: Row, name: string): Uint8Array | null {
  const value = row[name];
  if (value === null) return null;
  if (!isBytes(value)) throw wrong(row, name, 'a blob');
  return value;
}

/** Not instanceof: the value may come from another realm (a test runner's). */
const isBytes = (value: unknown): value is Uint8Array => ArrayBuffer.isView(value) && value.constructor.name === 'Uint8Array';

/** The same numbers as bytes, without copying. Files hold them in the machine's order, which is little endian wherever Node runs on more than mainframes. */
export const bytesOf = (vector: Float32Array): Uint8Array => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);

/** The same bytes as numbers, copied only where they do not start at a multiple of four. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(new Uint8Array(bytes).buffer);
}
