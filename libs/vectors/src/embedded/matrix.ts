import { blockRows, createPlainRows, createWasmRows, maxDimensions, type RowMemory } from './row-memory.ts';

/** Vectors of one length and their exact dot products (32-bit floats) with a query. */
export interface Matrix {
  readonly kernel: 'wasm-simd' | 'javascript';
  reserve(rows: number): void;
  setRow(row: number, vector: Float32Array): void;
  moveRow(from: number, to: number): void;
  /** Calls `visit` with each of the rows and its product, in the order of `rows`. */
  forEachProduct(query: Float32Array, rows: Uint32Array, visit: (row: number, product: number) => void): void;
}

export function createMatrix(dimensions: number, { simd = true } = {}): Matrix {
  checkDimensions(dimensions);
  const stride = Math.ceil(dimensions / 16) * 64;
  const wasm = simd ? createWasmRows('dots', stride) : undefined;
  const memory: RowMemory = wasm ?? createPlainRows(stride);

  return {
    kernel: wasm === undefined ? 'javascript' : 'wasm-simd',
    reserve: (rows) => memory.reserve(rows),
    moveRow: (from, to) => memory.moveRow(from, to),
    setRow: (row, vector) => new Float32Array(memory.buffer(), memory.rowAt(row), dimensions).set(vector),
    forEachProduct(query, rows, visit) {
      new Float32Array(memory.buffer(), 0, dimensions).set(query);
      for (let start = 0; start < rows.length; start += blockRows) {
        const block = rows.subarray(start, start + blockRows);
        const { buffer, byteOffset } = memory.multiply(block);
        const products = new Float32Array(buffer, byteOffset, block.length);
        for (let at = 0; at < block.length; at++) visit(block[at] ?? 0, products[at] ?? 0);
      }
    },
  };
}

export function checkDimensions(dimensions: number): void {
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > maxDimensions) throw new RangeError(`dimensions must be 1 to ${maxDimensions}, not ${dimensions}`);
}
