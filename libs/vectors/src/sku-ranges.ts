import type { SkuRange } from '@millrace/contracts';

/** Rank of a UTF-16 unit among code points: halves of a surrogate pair stand for code points above all others. */
const rankOf = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);

/** Orders two texts as their UTF-8 bytes do, which is by code points. `<` compares UTF-16 units: another order above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (x !== y) return rankOf(x) - rankOf(y);
  }
  return a.length - b.length;
}

/** Non-empty ranges in order, none touching the next, over the same skus: so that each sku is read once. */
export function mergeRanges(ranges: readonly SkuRange[] = [{}]): readonly SkuRange[] {
  const merged: SkuRange[] = [];
  for (const range of ranges.filter(isNotEmpty).toSorted((a, b) => compareUtf8(a.from ?? '', b.from ?? ''))) {
    const last = merged.at(-1);
    if (last === undefined || (last.to !== undefined && compareUtf8(last.to, range.from ?? '') < 0)) merged.push(range);
    else if (last.to !== undefined && (range.to === undefined || compareUtf8(last.to, range.to) < 0)) merged.splice(-1, 1, rangeOf(last.from, range.to));
  }
  return merged;
}

const isNotEmpty = ({ from: start = '', to }: SkuRange): boolean => to === undefined || compareUtf8(start, to) < 0;
const rangeOf = (start: string | undefined, to: string | undefined): SkuRange => ({ ...(start !== undefined && { from: start }), ...(to !== undefined && { to }) });

/** For stores that cannot read a part: is the sku in one of the ranges? */
export function skuFilter(ranges: readonly SkuRange[] | undefined): (sku: string) => boolean {
  if (ranges === undefined) return () => true;
  const merged = mergeRanges(ranges);
  return (sku) => merged.some(({ from: start = '', to }) => compareUtf8(start, sku) <= 0 && (to === undefined || compareUtf8(sku, to) < 0));
}
