import { describe, expect, it } from '@jest/globals';
import { createRowMapper, multiplyDecimals, parseMappings } from '../src/map-row.ts';

const map = (record: Record<string, unknown>, mappings: string[] = []) => createRowMapper({ mappings: parseMappings(mappings), currency: 'USD' })(record);

describe('multiplyDecimals', () => {
  it('leaves a number of a million digits alone, at once', () => {
    for (const long of [`1.${'0'.repeat(1_000_000)}1`, '9'.repeat(1_000_000)]) expect(multiplyDecimals(long, '1.5')).toBeUndefined();
  });
  it.each([['12595', '0.01', '125.95'], ['0.1', '0.2', '0.02'], ['19.999', '1', '19.999'], ['7', '0.5', '3.5'], ['-3', '2', '-6'], ['100', '0.01', '1'], ['abc', '1', undefined]])('%s x %s = %s, exactly', (a, b, product) => {
    expect(multiplyDecimals(a, b)).toBe(product);
  });
});

describe('createRowMapper', () => {
  it('maps same-named columns, image to image_url, and puts the rest into attributes', () => {
    expect(map({ sku: 'a', name: 'A', image: 'http://x/y.jpg', colour: 'red', stock: 3, empty: '' })).toMatchObject({ product: { sku: 'a', image_url: 'http://x/y.jpg', stock: 3, merchant_id: 1, currency: 'USD', status: 'active', attributes: { colour: 'red' } } });
  });
  it('takes a price in cents exactly', () => {
    expect(map({ sku: 'a', name: 'A', price_cents: 12_595 }, ['price=price_cents:0.01'])).toMatchObject({ product: { price: '125.95', attributes: {} } });
  });
  it('keeps attributes that are an object beside unmapped columns', () => {
    expect(map({ sku: 'a', name: 'A', attributes: { x: 1 }, y: 2 })).toMatchObject({ product: { attributes: { x: 1, y: 2 } } });
  });
  it('reads the text of CSV cells as what the field is', () => {
    expect(map({ sku: '1', name: 'A', stock: '5', merchant_id: '2', ean: '4006381333931|0098612345678', price: '9.50', attributes: '{"k":1}', brand: '' })).toMatchObject({ product: { stock: 5, merchant_id: 2, ean: ['4006381333931', '0098612345678'], price: '9.50', attributes: { k: 1 }, brand: null } });
  });
  it('imports its own export again', () => {
    expect(map({ sku: 'a', name: 'A', version: 3, content_version: 2, price: 1.5, price_minor: 150, created_at: 'x', updated_at: 'y' })).toMatchObject({ product: { attributes: {}, price: '1.5' } });
  });
  it.each([
    [{ name: 'A' }, '/sku', 'is missing'],
    [{ sku: 'a' }, '/name', 'is missing'],
    [{ sku: 'a', name: 'A', price: '-1' }, '/price', ''],
    [{ sku: 'a', name: 'A', stock: 'many' }, '/stock', ''],
    [{ sku: 'a', name: 'A', currency: 'XYZ1' }, '/currency', 'ISO 4217'],
    [{ sku: 'a/b', name: 'A' }, '/sku', 'printable'],
  ])('says what is wrong with %j', (record, pointer, detail) => {
    expect(map(record)).toMatchObject({ problem: { code: 'invalid_row', pointer, detail: expect.stringContaining(detail) } });
  });
});

describe('parseMappings', () => {
  it.each(['price', 'price=', 'nothing=x', '=x', 'price:0.1'])('refuses %s', (text) => {
    expect(() => parseMappings([text])).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
  it('lets a column name hold a colon', () => {
    expect(parseMappings(['name=g:title', 'price=g:price:0.01'])).toEqual([{ field: 'name', column: 'g:title' }, { field: 'price', column: 'g:price', factor: '0.01' }]);
  });
});
