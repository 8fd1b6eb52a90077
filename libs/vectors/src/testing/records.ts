import type { VectorModel, VectorPayload, VectorRecord } from '../index.ts';

export const dimensions = 24;

export const model = (id: string, document = '{}'): VectorModel => ({ id, dimensions, document });

/** The given numbers, the rest 0, scaled to length 1. */
export function unit(values: readonly number[]): Float32Array {
  const vector = new Float32Array(dimensions);
  vector.set(values);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

export const payload = (sku: string, changed: Partial<VectorPayload> = {}): VectorPayload => ({
  name: `Product ${sku}`, category: null, brand: null, merchant_id: 1, price_minor: 1_999, currency: 'USD', in_stock: true, image_url: null, ...changed,
});

/** Without values it is a product that no term was found in. */
export const record = (sku: string, version: number, values?: readonly number[], changed: Partial<VectorPayload> = {}): VectorRecord => ({
  sku,
  version,
  ...(values === undefined ? {} : { vector: unit(values) }),
  textHash: `hash of ${sku} ${values?.join() ?? ''}`,
  payload: payload(sku, changed),
  embeddedAt: '2026-11-21T10:00:00.000Z',
});

/** The same numbers in every run (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomRecords(count: number): VectorRecord[] {
  const random = createRandom(7);
  return Array.from({ length: count }, (_record, at) => {
    const values = Array.from({ length: dimensions }, () => random() - 0.5);
    return record(`sku-${at}`, 1, values, { category: `category ${at % 7}`, brand: at % 3 === 0 ? null : `brand ${at % 40}` });
  });
}

/** Everything that the iteration gives. */
export async function toList<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
