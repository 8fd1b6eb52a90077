import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import wabt from 'wabt';
import { createCodes } from '../src/embedded/codes.ts';
import { createCollectionCopy } from '../src/embedded/copy.ts';
import { dotWasm } from '../src/embedded/dot-wasm.ts';
import { createMatrix } from '../src/embedded/matrix.ts';
import { byScoreThenSku } from '../src/top.ts';
import { createRandom } from '../src/testing/records.ts';

const random = createRandom(11);
function randomUnit(dimensions: number): Float32Array {
  const vector = Float32Array.from({ length: dimensions }, () => random() - 0.5);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

describe('the WebAssembly kernels', () => {
  it('are exactly what wabt makes of dot.wat', async () => {
    const source = readFileSync(new URL('../src/embedded/dot.wat', import.meta.url), 'utf8');
    const parsed = (await wabt()).parseWat('dot.wat', source, { simd: true });
    expect(Buffer.from(parsed.toBinary({}).buffer).toString('base64')).toBe(dotWasm);
  });

  it.each([1, 5, 16, 17, 100, 384, 1_024])('multiply vectors of %d dimensions as plain JavaScript does', (dimensions) => {
    const vectors = Array.from({ length: 67 }, () => randomUnit(dimensions));
    const query = randomUnit(dimensions);
    for (const matrix of [createMatrix(dimensions), createMatrix(dimensions, { simd: false })]) {
      const products = new Map<number, number>();
      matrix.reserve(vectors.length);
      vectors.forEach((vector, row) => matrix.setRow(row, vector));
      const rows = Uint32Array.from(vectors.keys());
      matrix.forEachProduct(query, rows, (row, product) => products.set(row, product));
      expect([...products]).toEqual(vectors.map((vector, row) => [row, expect.closeTo(dot(vector, query), 5)]));
    }
  });

  it('are used where the machine has SIMD, and can be done without', () => {
    expect(createMatrix(16).kernel).toBe('wasm-simd');
    expect(createMatrix(16, { simd: false }).kernel).toBe('javascript');
  });

  it.each([
    { name: 'random vectors', make: () => randomUnit(64) },
    { name: 'many equal vectors', make: () => Float32Array.from({ length: 64 }, (_value, at) => (at === Math.floor(random() * 8) ? 1 : 0)) },
    { name: 'vectors close to each other', make: () => { const base = new Float32Array(64).fill(0.125); base[Math.floor(random() * 64)] = 0.1251; return base; } },
  ])('leave none of the best out of the shortlist, with $name', ({ make }) => {
    const vectors = Array.from({ length: 3_000 }, make).filter((vector) => dot(vector, vector) > 0.5);
    const codes = createCodes(64);
    codes?.reserve(vectors.length);
    vectors.forEach((vector, row) => codes?.setRow(row, vector));
    const rows = Uint32Array.from(vectors.keys());
    for (const query of [...vectors.slice(0, 10), ...Array.from({ length: 10 }, () => randomUnit(64))]) {
      const shortlist = new Set(codes?.shortlist(query, rows, 20));
      const scores = vectors.map((vector) => dot(vector, query));
      const twentieth = scores.toSorted((a, b) => b - a)[19] ?? 0;
      const missing = scores.filter((score, row) => score >= twentieth + 1e-6 && !shortlist.has(row));
      expect(missing).toEqual([]);
    }
  });

  it('cannot overflow: the largest products of the most dimensions come out right', () => {
    const query = new Float32Array(8_192).fill(1 / Math.sqrt(8_192));
    const codes = createCodes(8_192);
    codes?.reserve(2);
    codes?.setRow(0, query);
    codes?.setRow(1, query.map((value) => -value));
    expect(codes?.shortlist(query, Uint32Array.of(0, 1), 1)).toEqual(Uint32Array.of(0));
  });
});

describe('the in-memory copy', () => {
  it.each([{ simd: true }, { simd: false }])('finds the same as brute force after thousands of inserts, replacements and removals (SIMD: $simd)', (options) => {
    const copy = createCollectionCopy(32, options);
    const expected = new Map<string, { vector: Float32Array; category: string }>();
    for (let step = 0; step < 6_000; step++) {
      const sku = `s${Math.floor(random() * 2_500)}`;
      if (random() < 0.3) {
        copy.remove(sku);
        expected.delete(sku);
        continue;
      }
      const entry = { vector: randomUnit(32), category: `c${step % 3}`, brand: null };
      copy.set(sku, entry);
      expected.set(sku, entry);
    }
    expect(copy.size).toBe(expected.size);
    for (const category of [undefined, 'c1']) {
      const query = randomUnit(32);
      const best = [...expected].filter(([, of]) => category === undefined || of.category === category).map(([sku, { vector }]) => ({ sku, score: dot(vector, query) })).toSorted(byScoreThenSku);
      const found = copy.nearest(query, { limit: 50, excludeSkus: ['none', best[3]?.sku ?? ''], ...(category === undefined ? {} : { category }) });
      expect(found.map(({ sku }) => sku)).toEqual(best.toSpliced(3, 1).slice(0, 50).map(({ sku }) => sku));
    }
  });
});
