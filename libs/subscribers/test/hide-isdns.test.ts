import { describe, expect, it } from '@jest/globals';
import { hideIsdns } from '../src/hide-isdns.ts';

describe('hideIsdns', () => {
  it.each([
    ['the file has no column isdn; it has 84912345678, 2026-01, aGVsbG8/d29ybGQ+Zm9v=, 12.5, 7590-VHVEG', 'the file has no column isdn; it has 84912***678, 2026-01, aGVs***, 12.5, 7590***'],
    ['two columns of the file are called +84912345678', 'two columns of the file are called +849***'],
    ['x84912345678.csv is empty', 'x849*** is empty'],
    ['WbF3xkQpLmNo and arpu_avg_6m', 'WbF3*** and arpu_avg_6m'],
  ])('masks what may be one in %p', (text, expected) => expect(hideIsdns(text)).toBe(expected));

  it.each([
    '4 of 200 rows of subscriber_360_profile.parquet (profiles) are bad, 1 % may be (--max-bad); line 7, arpu_call: is not a number',
    'Redis (UT360_REDIS_URL) has no room for one more generation: it needs about 12 MiB. Nothing was changed',
    'recommendations_20261122.csv is not UTF-8: say its encoding', 'a line is longer than 1048576 characters', 'is neither a Vietnamese mobile number nor a token of 8 to 128 characters without spaces',
    'write it with row_group_size (pyarrow) or parquet.block.size (Spark)', 'the newest month is 2026-10-01',
  ])('leaves the sentence %p as it is', (text) => expect(hideIsdns(text)).toBe(text));
});
