import type { SimilarQuery } from '../ports.ts';
import { createCodes, type Codes } from './codes.ts';
import { createMatrix, type Matrix } from './matrix.ts';
import { createTop, type Scored } from '../top.ts';

/** The searchable part of a collection, in memory: vectors, and what a search filters by. */
export interface CollectionCopy {
  readonly size: number;
  readonly kernel: Matrix['kernel'];
  set(sku: string, entry: { vector: Float32Array; category: string | null; brand: string | null }): void;
  remove(sku: string): void;
  /** Exact: what the shortlist leaves out cannot be among the best. */
  nearest(vector: Float32Array, query: SimilarQuery): Scored[];
}

/** From this many rows on a shortlist by codes comes before the exact products. */
const shortlistFrom = 1_024;

interface Rows {
  readonly matrix: Matrix;
  readonly codes: Codes | undefined;
  readonly skus: string[];
  readonly categories: number[];
  readonly brands: number[];
}

/** Row numbers 0 to skus.length - 1 are in use, in no order. */
export function createCollectionCopy(dimensions: number, options?: { simd?: boolean }): CollectionCopy {
  const matrix = createMatrix(dimensions, options);
  const codes = matrix.kernel === 'wasm-simd' ? createCodes(dimensions) : undefined;
  const rows: Rows = { matrix, codes, skus: [], categories: [], brands: [] };
  const rowOf = new Map<string, number>();
  const categoryNumber = createNumbering();
  const brandNumber = createNumbering();
  const filterRows = createRowFilter(rows);

  return {
    kernel: matrix.kernel,
    get size() {
      return rows.skus.length;
    },
    set(sku, { vector, category, brand }) {
      const row = rowOf.get(sku) ?? rows.skus.length;
      for (const store of [matrix, codes]) {
        store?.reserve(row + 1);
        store?.setRow(row, vector);
      }
      rows.skus[row] = sku;
      rows.categories[row] = categoryNumber.assign(category);
      rows.brands[row] = brandNumber.assign(brand);
      rowOf.set(sku, row);
    },
    remove(sku) {
      const row = rowOf.get(sku);
      if (row === undefined) return;
      rowOf.delete(sku);
      fillGap(rows, row, rowOf);
    },
    nearest(vector, { limit, category, brand, excludeSkus }) {
      const passing = filterRows({
        category: category === undefined ? any : categoryNumber.find(category),
        brand: brand === undefined ? any : brandNumber.find(brand),
        excluded: new Set(excludeSkus.flatMap((sku) => rowOf.get(sku) ?? [])),
      });
      const shortlist = codes !== undefined && passing.length > shortlistFrom ? codes.shortlist(vector, passing, limit) : passing;
      return best(rows, { vector, shortlist, limit });
    },
  };
}

/** The last row takes the place of the one that goes. */
function fillGap({ matrix, codes, skus, categories, brands }: Rows, row: number, rowOf: Map<string, number>): void {
  const last = skus.length - 1;
  const [sku, category, brand] = [skus.pop(), categories.pop(), brands.pop()];
  if (row === last || sku === undefined || category === undefined || brand === undefined) return;
  matrix.moveRow(last, row);
  codes?.moveRow(last, row);
  skus[row] = sku;
  categories[row] = category;
  brands[row] = brand;
  rowOf.set(sku, row);
}

const any = -1;
const unknown = -2;
interface Filter { readonly category: number; readonly brand: number; readonly excluded: ReadonlySet<number> }

/** Lists the rows that pass, so that the others cost no multiplication. The list is valid until the next call. */
function createRowFilter({ skus, categories, brands }: Rows): (filter: Filter) => Uint32Array {
  let list = new Uint32Array(1_024);
  return ({ category, brand, excluded }) => {
    if (list.length < skus.length) list = new Uint32Array(Math.ceil(skus.length * 1.2));
    let count = 0;
    for (let row = 0; row < skus.length; row++) {
      if (category !== any && categories[row] !== category) continue;
      if (brand !== any && brands[row] !== brand) continue;
      if (excluded.size > 0 && excluded.has(row)) continue;
      list[count++] = row;
    }
    return list.subarray(0, count);
  };
}

function best({ matrix, skus }: Rows, { vector, shortlist, limit }: { vector: Float32Array; shortlist: Uint32Array; limit: number }): Scored[] {
  const top = createTop(limit);
  matrix.forEachProduct(vector, shortlist, (row, product) => {
    // Rounding may carry a product of two unit vectors past 1; clamped before it is compared, so that ties stay ties.
    const score = product > 1 ? 1 : product < -1 ? -1 : product;
    const sku = skus[row];
    if (sku !== undefined && score >= top.floor()) top.offer({ sku, score });
  });
  return top.best();
}

/** Numbers for strings, so that a filter compares integers. Grows with the distinct values ever seen. */
function createNumbering(): { assign(value: string | null): number; find(value: string): number } {
  const numbers = new Map<string | null, number>();
  return {
    assign(value) {
      const known = numbers.get(value);
      if (known !== undefined) return known;
      numbers.set(value, numbers.size);
      return numbers.size - 1;
    },
    find: (value) => numbers.get(value) ?? unknown,
  };
}
