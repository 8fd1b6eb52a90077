import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { sampleMerchants, sampleProducts } from '@millrace/sample-catalogue';
import type { SampleProduct } from '@millrace/sample-catalogue';

/** What POST /api/products takes, said again here: this lib must not depend on the contracts. */
const newProduct = z.strictObject({
  sku: z.string().regex(/^MR-\d{5}$/),
  merchant_id: z.int().positive(),
  name: z.string().trim().min(1).max(500),
  description: z.string().min(1).max(20_000).nullable(),
  category: z.string().min(1).max(200),
  brand: z.string().min(1).max(200).nullable(),
  mpn: z.string().min(1).max(500).nullable(),
  ean: z.array(z.string().regex(/^\d{13}$/)),
  price: z.number().positive().nullable(),
  currency: z.enum(['USD', 'VND']),
  stock: z.int().min(0).nullable(),
  image_url: z.url().startsWith('https://images.example.com/').nullable(),
  attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  status: z.enum(['draft', 'active', 'archived']),
});

const products = [...sampleProducts()];
const distinct = (values: readonly unknown[]): number => new Set(values).size;
const share = (matches: number): number => matches / products.length;
const isVietnamese = (text: string): boolean => /[ăâđêôơưàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ]/i.test(text);

describe('the sample catalogue', () => {
  it('has 2,000 products that the API would take', () => {
    expect(products).toHaveLength(2_000);
    for (const product of products) expect(() => newProduct.parse(product)).not.toThrow();
  });

  it('is the same on every run, and another one with another seed', () => {
    expect([...sampleProducts({ count: 50 })]).toEqual(products.slice(0, 50));
    expect([...sampleProducts({ count: 50, seed: 1 })]).not.toEqual(products.slice(0, 50));
  });

  it.each([2_000, 12_000])('gives each of %i products its own sku, name and ean', (count) => {
    const some = [...sampleProducts({ count })];
    expect(new Set(some.map(({ sku }) => sku)).size).toBe(count);
    expect(new Set(some.map(({ name }) => name)).size).toBe(count);
    const eans = some.flatMap(({ ean }) => ean);
    expect(new Set(eans).size).toBe(eans.length);
  });

  it('has only eans whose check digit is right', () => {
    const sums = products.flatMap(({ ean }) => ean.map((code) => Array.from(code).reduce((sum, digit, at) => sum + Number(digit) * (at % 2 === 0 ? 1 : 3), 0) % 10));
    expect(sums.length).toBeGreaterThan(1_500);
    expect(sums.every((rest) => rest === 0)).toBe(true);
  });

  it('has prices that their currency can express', () => {
    const isExpressible = ({ price, currency }: SampleProduct): boolean =>
      price === null || (currency === 'VND' ? price % 1_000 === 0 : /^\d+(\.\d{1,2})?$/.test(String(price)));
    expect(products.filter((product) => !isExpressible(product))).toEqual([]);
  });

  it('speaks both languages, and some products both at once', () => {
    const bilingual = products.filter(({ name }) => name.includes(' / '));
    const vietnamese = products.filter(({ name, brand }) => !name.includes(' / ') && isVietnamese(name.replace(brand ?? '', '')));
    expect(share(vietnamese.length)).toBeGreaterThan(0.35);
    expect(share(vietnamese.length)).toBeLessThan(0.55);
    expect(share(bilingual.length)).toBeGreaterThan(0.05);
  });

  it('spreads over categories, brands, currencies, merchants and states of stock', () => {
    expect(distinct(products.map(({ category }) => category))).toBeGreaterThanOrEqual(20);
    expect(distinct(products.map(({ brand }) => brand))).toBeGreaterThanOrEqual(60);
    expect(new Set(products.map(({ merchant_id }) => merchant_id))).toEqual(new Set(sampleMerchants().map(({ id }) => id)));
    expect(share(products.filter(({ currency }) => currency === 'VND').length)).toBeGreaterThan(0.3);
    expect(products.some(({ stock }) => stock === 0) && products.some(({ stock }) => stock === null)).toBe(true);
    expect(share(products.filter(({ status }) => status === 'active').length)).toBeGreaterThan(0.95);
  });

  it('begins with a product that a first search finds', () => {
    expect(products[0]).toMatchObject({ sku: 'MR-00001', category: 'Headphones', status: 'active', name: expect.stringContaining('headphones') });
  });
});
