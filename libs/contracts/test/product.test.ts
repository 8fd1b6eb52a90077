import { describe, expect, it } from '@jest/globals';
import { currencySchema, deleteProduct, fromMinor, getProduct, newProductSchema, priceInputSchema, productExample, productPatchSchema, productSchema, skuSchema, toMinor } from '../src/index.ts';

describe('money', () => {
  it.each([
    { decimal: '125.95', currency: 'USD', minor: 12_595 },
    { decimal: '125.9500', currency: 'USD', minor: 12_595 },
    { decimal: '0', currency: 'USD', minor: 0 },
    { decimal: '1290000', currency: 'VND', minor: 1_290_000 },
    { decimal: '1.234', currency: 'KWD', minor: 1_234 },
    { decimal: '1.999', currency: 'USD', minor: undefined },
    { decimal: '0.5', currency: 'VND', minor: undefined },
    { decimal: 'abc', currency: 'USD', minor: undefined },
    { decimal: '1.', currency: 'USD', minor: undefined },
    { decimal: '99999999999999.99', currency: 'USD', minor: undefined },
  ])('converts $decimal $currency to minor units without floats', ({ decimal, currency, minor }) => {
    expect(toMinor(decimal, currency)).toBe(minor);
  });
  it.each([[12_595, 'USD', '125.95'], [5, 'USD', '0.05'], [1_290_000, 'VND', '1290000'], [-5, 'USD', '-0.05']] as const)('prints %d minor units of %s as %s', (minor, currency, text) => {
    expect(fromMinor(minor, currency)).toBe(text);
  });
  it.each([-1, '-1', '1e3', 'NaN', '', 1e21, Number.NaN, Infinity, '1234567890123456'])('refuses %p as a price', (price) => {
    expect(priceInputSchema.safeParse(price).success).toBe(false);
  });
  it.each(['usd', 'XXZ', 'US', '', '₫'])('refuses %p as a currency', (code) => {
    expect(currencySchema.safeParse(code).success).toBe(false);
  });
  it.each(['XQQ', 'US', '', '₫'])('refuses a price in the currency %p by naming the currency', (currency) => {
    const { error } = newProductSchema.safeParse({ sku: 'a', name: 'b', price: 1, currency });
    expect(error?.issues.map((issue) => issue.path)).toEqual([['currency']]);
  });
});

describe('sku', () => {
  it.each(['a', 'MR-0001', 'sản phẩm 1', '@#%?&=+', 'x'.repeat(128), '🚀'])('accepts %p', (sku) => {
    expect(skuSchema.safeParse(sku).success).toBe(true);
  });
  it.each(['', 'a/b', ' a', 'a ', 'a\nb', 'a\u0000', '\u200b', '.', '..', 'x'.repeat(129), 7])('refuses %p', (sku) => {
    expect(skuSchema.safeParse(sku).success).toBe(false);
  });
});

describe('characters of a sku that nobody can tell apart', () => {
  it.each([['a selector', '\uFE0F'], ['a selector of variants', '\u{E0101}'], ['a joiner of graphemes', '\u034F'], ['a filler', '\u3164'], ['a filler of half width', '\uFFA0'], ['a selector of Mongolian', '\u180B'], ['an empty braille pattern', '\u2800']])('are refused in a new product: %s', (_name, hidden) => {
    expect(newProductSchema.safeParse({ sku: `MR${hidden}-1`, name: 'A' }).error?.issues).toMatchObject([{ path: ['sku'] }]);
  });
  it.each([
    { what: 'a letter and its accent apart', sku: 'Đèn-1'.normalize('NFD'), sentence: 'must be in the Unicode form NFC: accents composed with their letters' },
    { what: 'a sign that is another letter', sku: 'R-10\u2126', sentence: 'must be in the Unicode form NFC: accents composed with their letters' },
    { what: 'a space that does not break', sku: 'A\u00A0B', sentence: 'must not hold spaces but the ordinary one (U+0020)' },
    { what: 'a wide space', sku: 'A\u3000B', sentence: 'must not hold spaces but the ordinary one (U+0020)' },
  ])('are refused in a new product where another sku looks the same: $what', ({ sku, sentence }) => {
    expect(newProductSchema.safeParse({ sku, name: 'A' }).error?.issues).toMatchObject([{ path: ['sku'], message: sentence }]);
    expect(getProduct.params.safeParse({ sku }).success).toBe(true);
  });
  it.each(['Đèn-1'.normalize('NFC'), 'A B'])('are not what a sku of ordinary letters and spaces has: %p', (sku) => {
    expect(newProductSchema.parse({ sku, name: 'A' }).sku).toBe(sku);
  });
  it.each(['\uFE0F', '\u{E0101}', '\u034F', '\u3164', '\u2800'])('can be in the sku of a product that is there: it is read and deleted by it (%p)', (hidden) => {
    expect([getProduct, deleteProduct].map(({ params }) => params.safeParse({ sku: `MR${hidden}-1` }).success)).toEqual([true, true]);
    expect(productSchema.safeParse({ ...productExample, sku: `MR${hidden}-1` }).success).toBe(true);
  });
});

describe('product bodies', () => {
  it('fills in what a new product does not say', () => {
    expect(newProductSchema.parse({ sku: 'a', name: ' A ' })).toMatchObject({ sku: 'a', name: 'A', merchant_id: 1, status: 'active', stock: null, price: null, ean: [], attributes: {} });
  });
  it('refuses a field that it does not know', () => {
    expect(newProductSchema.safeParse({ sku: 'a', name: 'A', colour: 'red' }).success).toBe(false);
  });
  it('refuses a price that its currency cannot express', () => {
    expect(newProductSchema.safeParse({ sku: 'a', name: 'A', price: 0.5, currency: 'VND' }).success).toBe(false);
  });
  it('keeps a patch to what it names', () => {
    expect(productPatchSchema.parse({ stock: 3 })).toEqual({ stock: 3 });
  });
});

describe('attributes', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
  it.each([
    { what: 'NUL in a value', attributes: { a: 'x\0y' } },
    { what: 'NUL in a name', attributes: { 'x\0y': 1 } },
    { what: 'half of a surrogate pair', attributes: { a: ['\ud800'] } },
    { what: 'a name of 40,000 characters, two levels down', attributes: { a: { ['k'.repeat(40_000)]: 1 } } },
    { what: '5,000 levels', attributes: nested(5_000) },
    { what: '100,000 characters', attributes: { a: 'x'.repeat(100_000) } },
  ])('are refused with $what, by a sentence', ({ attributes }) => {
    const { error } = newProductSchema.safeParse({ sku: 'a', name: 'b', attributes });
    expect(error?.issues).toMatchObject([{ path: ['attributes'], message: expect.any(String) }]);
  });
  it.each([{}, { a: null, b: [1, 'x', { c: true }] }, nested(19)])('are taken as they are: %j', (attributes) => {
    expect(newProductSchema.parse({ sku: 'a', name: 'b', attributes }).attributes).toEqual(attributes);
  });
  it('leave texts without NUL and halves of surrogate pairs only', () => {
    for (const name of ['a\0b', '\udfff']) expect(newProductSchema.safeParse({ sku: 'a', name }).success).toBe(false);
  });
});
