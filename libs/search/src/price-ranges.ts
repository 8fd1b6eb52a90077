/**
 * The price facet's ranges, the same in every engine: [0, 1000), then 1, 2.5 and 5 times the powers of ten, in minor units.
 * Fixed borders keep answers cacheable and comparable between queries; empty ranges are left out of answers.
 */
const STEPS = [1, 2.5, 5];
const FIRST_EXPONENT = 3;
const LAST_EXPONENT = 11;

export const PRICE_BORDERS: readonly number[] = [
  0,
  ...Array.from({ length: LAST_EXPONENT - FIRST_EXPONENT + 1 }, (_, i) => STEPS.map((step) => step * 10 ** (FIRST_EXPONENT + i))).flat(),
];

/** Index in PRICE_BORDERS of the range that holds the price. */
export function priceRangeOf(priceMinor: number): number {
  let low = 0;
  let high = PRICE_BORDERS.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (priceMinor >= (PRICE_BORDERS[middle] ?? 0)) low = middle;
    else high = middle - 1;
  }
  return low;
}
