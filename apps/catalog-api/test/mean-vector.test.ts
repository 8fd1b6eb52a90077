import { describe, expect, it } from '@jest/globals';
import { meanVector } from '../src/mean-vector.ts';

const vector = (...values: number[]): Float32Array => Float32Array.from(values);

describe('the mean of vectors', () => {
  it.each([
    { of: [], is: undefined },
    { of: [vector(0.6, 0.8)], is: [0.6, 0.8] },
    { of: [vector(1, 0), vector(0, 1)], is: [Math.SQRT1_2, Math.SQRT1_2] },
    { of: [vector(1, 0), vector(1, 0), vector(0, 1)], is: [2 / Math.sqrt(5), 1 / Math.sqrt(5)] },
    { of: [vector(1, 0), vector(-1, 0)], is: undefined },
  ])('of $of has length 1, or there is none', ({ of, is }) => {
    const mean = meanVector(of);
    expect(mean && [...mean]).toEqual(is?.map((value) => expect.closeTo(value, 6)));
  });
});
