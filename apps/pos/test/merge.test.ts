import { describe, expect, it } from '@jest/globals';
import { maskEmail, maskName, maskPhone } from '../src/mask-person.ts';
import { isSame } from '../src/merge-product.ts';
import { nextPosition } from '../src/next-position.ts';
import { readNotification } from '../src/notification.ts';
import { roundDecimal, stockOf, toCatalogue } from '../src/to-catalogue.ts';

describe('prices and stock', () => {
  it.each([['19.995', 2, '20.00'], ['19.994', 2, '19.99'], ['33333.5', 0, '33334'], ['33333.4999', 0, '33333'], ['-0.4', 0, '0'], ['9007199254740993.5', 0, '9007199254740994'], ['0.05', 1, '0.1'], ['7', 2, '7.00']] as const)('rounds %s to %i decimals: %s', (text, digits, rounded) => {
    expect(roundDecimal(text, digits)).toBe(rounded);
  });
  const inventory = (branchId: number, onHand: number | null) => ({ branchId, onHand, reserved: 0 });
  it.each([
    { name: 'adds all branches', inventories: [inventory(1, 2), inventory(2, 3)], branches: [], stock: 5 },
    { name: 'adds those that count', inventories: [inventory(1, 2), inventory(2, 3)], branches: [2], stock: 3 },
    { name: 'is never below nothing', inventories: [inventory(1, -7), inventory(2, 3)], branches: [], stock: 0 },
    { name: 'is whole', inventories: [inventory(1, 2.9), inventory(2, null)], branches: [], stock: 2 },
    { name: 'fits the catalogue', inventories: [inventory(1, 1e15)], branches: [], stock: 2_147_483_647 },
    { name: 'is unknown where the POS says nothing', inventories: undefined, branches: [], stock: null },
  ])('stock $name', ({ inventories, branches, stock }) => {
    expect(stockOf(inventories, branches)).toBe(stock);
  });
  const rules = { currency: 'VND', branchIds: [], merchantId: 1 };
  it.each([
    { name: 'a text that no store can hold', product: { id: 1, code: 'a', name: 'x\u0000y' } },
    { name: 'a code with a control character', product: { id: 1, code: 'a\tb', name: 'x' } },
    { name: 'a price of too many digits', product: { id: 1, code: 'a', name: 'x', basePrice: '99999999999999999999' } },
  ])('refuses $name', ({ product }) => {
    expect(toCatalogue(product, rules)).toHaveProperty('problem');
  });
  it('takes what it can of a product that has hardly anything', () => {
    expect(toCatalogue({ id: 1, code: ' a ', name: 'x', barCode: 'không', images: ['javascript:1', 'https://x/1.jpg'] }, rules)).toMatchObject({ wanted: { sku: 'a', price: null, stock: null, ean: [], image_url: 'https://x/1.jpg', status: 'active' } });
  });
});

interface PageCase { readonly from: number | null; readonly offset: number; readonly times: (number | undefined)[]; readonly total: number; readonly isFull?: boolean; readonly next: { from: number | null; offset: number } | undefined }

describe('the next page', () => {
  const second = 1_000;
  it.each([
    { name: 'begins with the last time', from: 0, offset: 0, times: [1, 2, 9].map((n) => n * second), total: 9, next: { from: 8 * second, offset: 0 } },
    { name: 'goes on by offset within one time', from: 8 * second, offset: 0, times: [9, 9, 9].map((n) => n * second), total: 9, next: { from: 8 * second, offset: 3 } },
    { name: 'goes on by offset where the order is not kept', from: null, offset: 0, times: [9, 2, 5].map((n) => n * second), total: 9, next: { from: null, offset: 3 } },
    { name: 'goes on by offset where times are missing', from: null, offset: 3, times: [undefined, 9 * second, undefined], total: 9, next: { from: null, offset: 6 } },
    { name: 'is none at the end', from: 0, offset: 6, times: [9 * second], total: 7, next: undefined },
    { name: 'is there where a full page ends where the POS says that all is over', from: 0, offset: 0, times: [1, 2, 9].map((n) => n * second), total: 0, isFull: true, next: { from: 8 * second, offset: 0 } },
    { name: 'is none after an empty one, whatever the total says', from: 0, offset: 0, times: [], total: 500, next: undefined },
  ])('$name', ({ from, offset, times, total, isFull, next }: PageCase) => {
    expect(nextPosition({ from, offset }, { times, count: times.length, total, isFull: isFull ?? false, isNews: true })).toEqual(next);
  });
});

describe('small things', () => {
  it.each([[{ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }, true], [[1, 2], [2, 1], false], [{ a: undefined }, {}, false], [null, {}, false], ['1', 1, false], [[], {}, false]])('compares %j with %j: %s', (a, b, same) => {
    expect(isSame(a, b)).toBe(same);
  });
  it('masks people', () => {
    expect([maskName('Nguyễn Văn  An'), maskName(null), maskPhone('0912345678'), maskPhone('113'), maskEmail('an@mail.example'), maskEmail('an')]).toEqual(['N*** V*** A***', null, '09******78', '***', 'a***@mail.example', '***']);
  });
  it('tells notifications apart by their id, or by what they are', () => {
    expect(readNotification(Buffer.from('{"Id":"x"}')).id).toBe('id:x');
    expect(readNotification(Buffer.from('{}')).id).toMatch(/^sha256:/);
    expect(readNotification(Buffer.from('{"Id":"x","Notifications":[{"Action":"stock.update","Data":[{"ProductId":5,"Id":9}]},{"Action":"productx.update","Data":[{"Id":6}]}]}')).posIds).toEqual([5]);
  });
});
