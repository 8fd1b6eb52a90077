import type { SkuRange } from '@millrace/contracts';

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The same skus as ranges in order that neither overlap nor are empty; absent = one range of all. By UTF-8 bytes, which JavaScript's own order is not. */
export function orderedRanges(ranges: readonly SkuRange[] = [{}]): SkuRange[] {
  const ordered: { from: string; to?: string }[] = [];
  const isBehind = ({ from = '', to }: SkuRange): boolean => to === undefined || compareBytes(from, to) < 0;
  for (const { from = '', to } of ranges.filter(isBehind).toSorted((a, b) => compareBytes(a.from ?? '', b.from ?? ''))) {
    const last = ordered.at(-1);
    if (last === undefined || (last.to !== undefined && compareBytes(last.to, from) < 0)) ordered.push(to === undefined ? { from } : { from, to });
    else if (last.to !== undefined && (to === undefined || compareBytes(to, last.to) > 0)) ordered[ordered.length - 1] = to === undefined ? { from: last.from } : { from: last.from, to };
  }
  return ordered;
}
