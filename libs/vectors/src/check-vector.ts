import { InvalidVectorError } from './errors.ts';
import type { VectorRecord } from './ports.ts';

/** What float32 rounding and another implementation's normalisation may differ by. */
const lengthTolerance = 1e-2;

/** Throws InvalidVectorError, naming `what`, unless the vector has the dimensions and is of length 1. */
export function checkVector(vector: Float32Array, { dimensions, what }: { dimensions: number; what: string }): void {
  if (vector.length !== dimensions) throw new InvalidVectorError(`${what} has ${vector.length} dimensions, the collection ${dimensions}`);
  let squares = 0;
  for (let at = 0; at < vector.length; at++) {
    const value = vector[at] ?? 0;
    squares += value * value;
  }
  if (!Number.isFinite(squares)) throw new InvalidVectorError(`${what} has a value that is not a finite number`);
  if (squares === 0) throw new InvalidVectorError(`${what} is a zero vector: leave the vector out`);
  if (Math.abs(Math.sqrt(squares) - 1) > lengthTolerance) throw new InvalidVectorError(`${what} is not L2-normalised: its length is ${Math.sqrt(squares)}`);
}

/** Checks a whole batch before anything of it is written. */
export function checkRecords(records: readonly VectorRecord[], dimensions: number): void {
  for (const { sku, vector } of records) if (vector !== undefined) checkVector(vector, { dimensions, what: `the vector of ${sku}` });
}

/** Largest answer of one search. */
export const maxLimit = 1_000;

export function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) throw new RangeError(`limit must be 1 to ${maxLimit}, not ${limit}`);
}
