import { describe, expect, it } from '@jest/globals';
import { maskIsdn, parseIsdn } from '../src/index.ts';

describe('parseIsdn', () => {
  it.each(['0912345678', '84912345678', '+84912345678', '0084912345678', '0912 345 678', '+84 912-345-678', ' 0912.345.678'])('takes %p for 84912345678', (text) => {
    expect(parseIsdn(text)).toBe('84912345678');
  });

  it.each([['01623456789', '84323456789'], ['+841263456789', '84763456789'], ['841993456789', '84593456789'], ['01203456789', '84703456789']])('gives the old number %p its new prefix', (old, now) => {
    expect(parseIsdn(old)).toBe(now);
  });

  it.each(['aGVsbG8/d29ybGQ+Zm9v=', 'abcdefgh', '7590-VHVEG', '012345678', '0412345678', '841', '84'.padEnd(128, 'x'), '09123456789', 'đường-phố', '912345678'])('keeps %p byte for byte, or refuses it where it is too short', (token) => {
    expect(parseIsdn(token)).toBe(token.length < 8 ? undefined : token);
  });

  it.each(['', 'short', 'x'.repeat(129), 'with space', ' leadingspace', 'tab\tinside', 'nul\0inside', 'half\uD800pair', 'line\nbreak'])('refuses %p', (text) => {
    expect(parseIsdn(text)).toBeUndefined();
  });
});

describe('maskIsdn', () => {
  it('never shows the middle of a number, nor the end of a token', () => {
    expect(maskIsdn('84912345678')).toBe('84912***678');
    expect(maskIsdn('aGVsbG8/d29ybGQ+Zm9v=')).toBe('aGVs***');
  });
});
