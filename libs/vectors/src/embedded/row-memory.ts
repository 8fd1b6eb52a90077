import { dotWasm } from './dot-wasm.ts';

/** Rows whose products are computed by one call. */
export const blockRows = 1_024;
/** Layout: the query, a block's row numbers, its products, then the rows. */
const indexesAt = 32_768;
const productsAt = indexesAt + blockRows * 4;
const rowsAt = 65_536;
const pageBytes = 65_536;
/** 4 GiB: what 32-bit addresses reach. */
const maxPages = 65_536;

export const maxDimensions = indexesAt / 4;

type KernelName = 'dots' | 'codeDots';
type Dots = (...at: readonly [query: number, rows: number, stride: number, indexes: number, count: number, products: number]) => void;

/** The part of the WebAssembly API that is used: its types come with the DOM's only. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number } } & Readonly<Record<KernelName, Dots>>;
  };
}

/** Rows of one length in one growing block of memory, and a kernel that multiplies a query with chosen ones. */
export interface RowMemory {
  /** Rows are this many bytes apart, from `rowAt(0)`; what a row does not fill is zero. */
  readonly stride: number;
  rowAt(row: number): number;
  /** Makes room for so many rows in all. Views taken before are void. Throws RangeError beyond 4 GiB. */
  reserve(rows: number): void;
  /** The whole memory; the query stands at 0. */
  buffer(): ArrayBuffer;
  /** Products of the query with the chosen rows (up to blockRows), as bytes of four each; valid until the next call. */
  multiply(rows: Uint32Array): { readonly buffer: ArrayBuffer; readonly byteOffset: number };
  moveRow(from: number, to: number): void;
}

interface Memory {
  buffer(): ArrayBuffer;
  grow(bytes: number): void;
  dots(stride: number, count: number): void;
}

/** In WebAssembly with 128-bit SIMD; undefined where WebAssembly, its SIMD or the address space for it is missing. */
export function createWasmRows(kernel: KernelName, stride: number): RowMemory | undefined {
  const api: WebAssemblyApi | undefined = Reflect.get(globalThis, 'WebAssembly');
  if (api === undefined) return undefined;
  try {
    const { memory, [kernel]: dots } = new api.Instance(new api.Module(Buffer.from(dotWasm, 'base64'))).exports;
    return rowsIn(stride, {
      buffer: () => memory.buffer,
      grow: (bytes) => void memory.grow(Math.min(Math.ceil(bytes / pageBytes), maxPages) - memory.buffer.byteLength / pageBytes),
      dots: (rowStride, count) => dots(0, rowsAt, rowStride, indexesAt, count, productsAt),
    });
  } catch {
    return undefined;
  }
}

/** The `dots` kernel in JavaScript, several times slower. */
export function createPlainRows(stride: number): RowMemory {
  let floats = new Float32Array(rowsAt / 2);
  return rowsIn(stride, {
    buffer: () => floats.buffer,
    grow(bytes) {
      const larger = new Float32Array(Math.ceil(bytes / 4));
      larger.set(floats);
      floats = larger;
    },
    dots(rowStride, count) {
      const rows = new Uint32Array(floats.buffer, indexesAt, count);
      for (let at = 0; at < count; at++) floats[productsAt / 4 + at] = plainDot(floats, (rowsAt + (rows[at] ?? 0) * rowStride) / 4, rowStride / 4);
    },
  });
}

function rowsIn(stride: number, memory: Memory): RowMemory {
  const rowAt = (row: number): number => rowsAt + row * stride;
  return {
    stride,
    rowAt,
    buffer: () => memory.buffer(),
    reserve(rows) {
      const needed = rowAt(rows);
      const has = memory.buffer().byteLength;
      if (needed > maxPages * pageBytes) throw new RangeError(`${rows} rows of ${stride} bytes do not fit into the 4 GiB that one thread can search`);
      if (needed > has) memory.grow(Math.max(needed, Math.ceil(has * 1.2)));
    },
    multiply(rows) {
      const padded = rows.length + (rows.length % 2);
      const indexes = new Uint32Array(memory.buffer(), indexesAt, padded);
      indexes.set(rows);
      // The kernels take two rows at a time; the last one may come twice.
      if (padded > rows.length) indexes[rows.length] = rows.at(-1) ?? 0;
      memory.dots(stride, padded);
      return { buffer: memory.buffer(), byteOffset: productsAt };
    },
    moveRow: (from, to) => void new Uint8Array(memory.buffer()).copyWithin(rowAt(to), rowAt(from), rowAt(from + 1)),
  };
}

/** Four sums, as the SIMD kernel has: one sum would wait for itself. */
function plainDot(floats: Float32Array, start: number, length: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let at = 0; at < length; at += 4) {
    a += (floats[at] ?? 0) * (floats[start + at] ?? 0);
    b += (floats[at + 1] ?? 0) * (floats[start + at + 1] ?? 0);
    c += (floats[at + 2] ?? 0) * (floats[start + at + 2] ?? 0);
    d += (floats[at + 3] ?? 0) * (floats[start + at + 3] ?? 0);
  }
  return a + b + (c + d);
}
