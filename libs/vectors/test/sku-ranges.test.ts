import { describe, expect, it } from '@jest/globals';
import { compareUtf8, mergeRanges, skuFilter } from '../src/sku-ranges.ts';

describe('ranges of skus', () => {
  const samples = ['', 'a', 'aa', 'b', '~', 'é', '\u{7ff}', '\u{800}', '\u{d7ff}', '\u{e000}', '\u{ffff}', '\u{10000}', '\u{1f600}', '\u{10ffff}', '\u{1f600}a', '\u{ffff}a'];

  it('are ordered as the UTF-8 bytes of the texts', () => {
    for (const a of samples) for (const b of samples) expect([a, b, Math.sign(compareUtf8(a, b))]).toEqual([a, b, Buffer.compare(Buffer.from(a), Buffer.from(b))]);
  });

  it.each([
    { name: 'nothing is everything', ranges: undefined, merged: [{}] },
    { name: 'no range is nothing', ranges: [], merged: [] },
    { name: 'empty ones go', ranges: [{ from: 'b', to: 'b' }, { from: 'c', to: 'b' }, { to: '' }], merged: [] },
    { name: 'separate ones stay, in order', ranges: [{ from: 'c', to: 'd' }, { from: 'a', to: 'b' }], merged: [{ from: 'a', to: 'b' }, { from: 'c', to: 'd' }] },
    { name: 'overlapping and touching ones become one', ranges: [{ from: 'b', to: 'd' }, { from: 'a', to: 'b' }, { from: 'c', to: 'e' }], merged: [{ from: 'a', to: 'e' }] },
    { name: 'an inner one goes', ranges: [{ from: 'a', to: 'z' }, { from: 'b', to: 'c' }], merged: [{ from: 'a', to: 'z' }] },
    { name: 'an open start and an open end swallow the rest', ranges: [{ from: 'b' }, { to: 'c' }, { from: 'x', to: 'y' }], merged: [{}] },
  ])('$name', ({ ranges, merged }) => {
    expect(mergeRanges(ranges)).toEqual(merged);
    const [filter, plain] = [skuFilter(ranges), ranges ?? [{}]];
    for (const sku of samples) expect(filter(sku)).toBe(plain.some(({ from = '', to }: { from?: string; to?: string }) => compareUtf8(from, sku) <= 0 && (to === undefined || compareUtf8(sku, to) < 0)));
  });
});
