import { describe, expect, it } from '@jest/globals';
import { chiSquareProbability, differenceInterval, effectiveSize, sampleRatio, sampleSize, wilson } from '../src/intervals.ts';

const rateOf = (hits: number, count: number) => ({ rate: hits / count, count });
const rounded = ({ low, high }: { low: number; high: number }): number[] => [low, high].map((one) => Number(one.toFixed(4)));

describe('intervals', () => {
  // Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
  it.each([[81, 263, 0.2553, 0.3662], [15, 148, 0.0624, 0.1605], [0, 20, 0, 0.1611], [1, 29, 0.0061, 0.1718]])('of %p of %p are those of Newcombe 1998', (hits, count, low, high) => {
    expect(rounded(wilson(rateOf(hits, count)))).toEqual([low, high]);
  });
  // Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10.
  it.each([
    [56, 70, 48, 80, 0.0524, 0.3339], [9, 10, 3, 10, 0.1705, 0.809], [6, 7, 2, 7, 0.0582, 0.8062], [5, 56, 0, 29, -0.0381, 0.1926],
    [0, 10, 0, 20, -0.1611, 0.2775], [0, 10, 0, 10, -0.2775, 0.2775], [10, 10, 0, 20, 0.6791, 1], [10, 10, 0, 10, 0.6075, 1],
  ])('of the difference %p/%p - %p/%p are those of Newcombe 1998', (a, m, b, n, low, high) => {
    expect(rounded(differenceInterval(rateOf(a, m), rateOf(b, n)))).toEqual([low, high]);
  });
  it('hold nothing that is no rate, and everything where nothing is known', () => {
    expect(wilson({ rate: 0, count: 0 })).toEqual({ low: 0, high: 1 });
    for (const count of [1, 3, 1e6]) expect([wilson({ rate: 0, count }).low, wilson({ rate: 1, count }).high]).toEqual([0, 1]);
  });
  it('cover the truth in 95 of 100 samples', () => {
    let state = 42;
    const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
    const samples = 4_000;
    let covered = 0;
    for (let sample = 0; sample < samples; sample += 1) {
      let hits = 0;
      for (let n = 0; n < 300; n += 1) hits += random() < 0.05 ? 1 : 0;
      const { low, high } = wilson(rateOf(hits, 300));
      covered += low <= 0.05 && 0.05 <= high ? 1 : 0;
    }
    expect(covered / samples).toBeGreaterThan(0.935);
    expect(covered / samples).toBeLessThan(0.975);
  });
});

describe('lists of the same user', () => {
  const clusters = (users: readonly (readonly [tries: number, hits: number])[]) => ({
    users: users.length, tries: users.reduce((sum, [tries]) => sum + tries, 0), hits: users.reduce((sum, [, hits]) => sum + hits, 0),
    triesSquared: users.reduce((sum, [tries]) => sum + tries ** 2, 0), hitsSquared: users.reduce((sum, [, hits]) => sum + hits ** 2, 0), product: users.reduce((sum, [tries, hits]) => sum + tries * hits, 0),
  });
  it('count as one each where a user clicks on all of them or on none', () => {
    const users = Array.from({ length: 1_000 }, (_, n): [number, number] => (n % 4 === 0 ? [10, 10] : [10, 0]));
    expect(effectiveSize(clusters(users))).toBeCloseTo(999, 6);
  });
  it('count each where there is one of each user, and never more than there are', () => {
    const users = Array.from({ length: 1_000 }, (_, n): [number, number] => [1, n % 4 === 0 ? 1 : 0]);
    expect(effectiveSize(clusters(users))).toBeCloseTo(999, 6);
    expect(effectiveSize(clusters(Array.from({ length: 100 }, (): [number, number] => [4, 1])))).toBe(400);
  });
  it('count as their users where nobody clicked', () => {
    expect(effectiveSize(clusters([[10, 0], [20, 0]]))).toBe(2);
    expect(effectiveSize(clusters([]))).toBe(0);
  });
});

describe('how users are divided', () => {
  // Critical values of chi-square, Abramowitz and Stegun, table 26.8.
  it.each([[3.841_46, 1, 0.05], [5.991_47, 2, 0.05], [7.814_73, 3, 0.05], [16.918_98, 9, 0.05], [10.827_6, 1, 0.001], [27.877, 9, 0.001], [0, 4, 1]])('has the tabulated probability for %p with %p degrees', (chiSquare, degrees, probability) => {
    expect(chiSquareProbability(chiSquare, degrees)).toBeCloseTo(probability, 5);
  });
  it('is compared with the weights, where there are enough', () => {
    expect(sampleRatio([{ users: 5_000, weight: 1 }, { users: 5_000, weight: 1 }])).toEqual({ chiSquare: 0, probability: 1 });
    expect(sampleRatio([{ users: 7_500, weight: 3 }, { users: 2_500, weight: 1 }])?.probability).toBe(1);
    // Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments" (2020), chapter 21: 821,588 against 815,482 users; p is 1.8e-6.
    expect(sampleRatio([{ users: 821_588, weight: 1 }, { users: 815_482, weight: 1 }])?.probability).toBeCloseTo(1.8e-6, 7);
    expect(sampleRatio([{ users: 4, weight: 1 }, { users: 4, weight: 1 }])).toBeUndefined();
  });
});

describe('the sample size', () => {
  it('is that of power.prop.test in R', () => {
    expect(sampleSize(0.5, 0.75, 1.281_551_565_544_6)).toBe(77);
    expect(sampleSize(0.1, 0.15)).toBe(686);
  });
});
