import { blockRows, createWasmRows } from './row-memory.ts';

/** Covers the rounding of both kernels and of float32 scales, which is of the order of 1e-6. */
const slack = 1e-5;
/** Vectors count as of length 1 up to this. */
const longest = 1.02;

/**
 * The same vectors as signed bytes: a quarter of the memory traffic, which is what an exact search is bound by.
 * A shortlist by them loses nothing. A row v is kept as c + e with |e| known, the query q as d + f with |f| known, so q·v and d·c differ
 * by at most |q| |e| + |f| |c|; the k-th largest lower bound is a floor that no row of the true k best can stay below with its upper bound.
 */
export interface Codes {
  reserve(rows: number): void;
  setRow(row: number, vector: Float32Array): void;
  moveRow(from: number, to: number): void;
  /** Those of `rows` that can be among the `limit` best, ties included. Rows and query are of length 1. */
  shortlist(query: Float32Array, rows: Uint32Array, limit: number): Uint32Array;
}

/** Undefined where there is no SIMD: without it, bytes are no faster than floats. */
export function createCodes(dimensions: number): Codes | undefined {
  const stride = Math.ceil(dimensions / 16) * 16;
  const memory = createWasmRows('codeDots', stride);
  if (memory === undefined) return undefined;
  let scales = new Float32Array(0);
  let errors = new Float32Array(0);
  let upper = new Float32Array(0);

  return {
    reserve(rows) {
      memory.reserve(rows);
      if (rows > scales.length) [scales, errors] = [grown(scales, rows), grown(errors, rows)];
    },
    setRow(row, vector) {
      const codes = new Int8Array(memory.buffer(), memory.rowAt(row), dimensions);
      [scales[row], errors[row]] = encode(vector, codes);
    },
    moveRow(from, to) {
      memory.moveRow(from, to);
      [scales[to], errors[to]] = [scales[from] ?? 0, errors[from] ?? 0];
    },
    shortlist(query, rows, limit) {
      const [queryScale, queryError] = encodeQuery(query, new Int16Array(memory.buffer(), 0, dimensions));
      if (upper.length < rows.length) upper = new Float32Array(rows.length);
      const floor = createFloor(limit);
      for (let start = 0; start < rows.length; start += blockRows) {
        const block = rows.subarray(start, start + blockRows);
        const { buffer, byteOffset } = memory.multiply(block);
        const products = new Int32Array(buffer, byteOffset, block.length);
        for (let at = 0; at < block.length; at++) {
          const row = block[at] ?? 0;
          const product = (products[at] ?? 0) * queryScale * (scales[row] ?? 0);
          const error = ((errors[row] ?? 0) + queryError) * longest + slack;
          upper[start + at] = product + error;
          floor.offer(product - error);
        }
      }
      return rows.filter((_row, at) => (upper[at] ?? 0) >= floor.value());
    },
  };
}

function grown(values: Float32Array, length: number): Float32Array<ArrayBuffer> {
  const larger = new Float32Array(Math.max(length, Math.ceil(values.length * 1.2)));
  larger.set(values);
  return larger;
}

const encode = (vector: Float32Array, codes: Int8Array): Encoded => encodeTo(vector, codes, 127);

/** 16 bits, or fewer where so many dimensions times 127 could overflow a 32-bit sum. */
const encodeQuery = (query: Float32Array, codes: Int16Array): Encoded =>
  encodeTo(query, codes, Math.min(32_767, Math.floor((2 ** 31 - 1) / (127 * query.length))));

type Encoded = readonly [scale: number, error: number];

/** Returns the scale and the length of what the codes leave out. */
function encodeTo(vector: Float32Array, codes: Int8Array | Int16Array, range: number): Encoded {
  const scale = largest(vector) / range || 1;
  const perUnit = 1 / scale;
  let squares = 0;
  for (let at = 0; at < vector.length; at++) {
    const value = vector[at] ?? 0;
    const code = Math.floor(value * perUnit + 0.5);
    const rest = value - code * scale;
    codes[at] = code;
    squares += rest * rest;
  }
  return [scale, Math.sqrt(squares)];
}

function largest(vector: Float32Array): number {
  let found = 0;
  for (let at = 0; at < vector.length; at++) {
    const size = Math.abs(vector[at] ?? 0);
    if (size > found) found = size;
  }
  return found;
}

/** The `limit`-th largest of what was offered; -Infinity before that many. */
function createFloor(limit: number): { value(): number; offer(value: number): void } {
  const kept: number[] = [];
  let floor = -Infinity;
  return {
    value: () => floor,
    offer(value) {
      if (value <= floor) return;
      let at = kept.length;
      while (at > 0 && (kept[at - 1] ?? 0) < value) at--;
      kept.splice(at, 0, value);
      if (kept.length > limit) kept.pop();
      if (kept.length === limit) floor = kept[limit - 1] ?? -Infinity;
    },
  };
}
