import { describe, expect, it } from '@jest/globals';
import { createItems, followItems } from '../src/items.ts';
import { product } from './kit.ts';

describe('the products in memory', () => {
  it('ignore a change older than the known one, also than a deletion', () => {
    const items = createItems();
    items.apply([product('a', { name: 'new' }, 5), product('a', { name: 'old' }, 4)]);
    expect(items.get('a')?.name).toBe('new');
    items.apply([{ sku: 'a', version: 7 }, product('a', {}, 6)]);
    expect(items.get('a')).toBeUndefined();
  });
  it('show neither drafts, nor what is deleted, nor what is sold out', async () => {
    const items = createItems();
    const event = (sku: string, over: object) => ({ type: 'update' as const, version: 2, product: { ...product(sku, over, 2).product, sku, version: 2 }, meta: { id: sku, timestamp: '', schema: 1 } });
    const { product: shown } = product('shown', {}, 2);
    if (shown === undefined) throw new Error('no product');
    await followItems(items)([
      { ...event('shown', {}), product: shown }, { ...event('draft', {}), product: { ...shown, sku: 'draft', status: 'draft' } }, { ...event('sold', {}), product: { ...shown, sku: 'sold', stock: 0 } },
    ]);
    expect([items.find('shown')?.sku, items.find('draft'), items.find('sold')]).toEqual(['shown', undefined, undefined]);
    expect(items.newest(undefined)).toEqual(['shown']);
    await followItems(items)([{ type: 'delete', version: 3, sku: 'shown', meta: { id: 'x', timestamp: '', schema: 1 } }]);
    expect(items.find('shown')).toBeUndefined();
  });
  it('list the newest first, by category, and see a new one after a second', () => {
    let nowMs = 0;
    const items = createItems(() => nowMs);
    items.apply([product('a', { category: 'Audio', created_at: '2026-01-01T00:00:00Z' }), product('b', { category: 'Audio', created_at: '2026-03-01T00:00:00Z' }), product('c', { category: 'Video', created_at: '2026-02-01T00:00:00Z' })]);
    expect([items.newest(undefined), items.newest('Audio'), items.newest('None')]).toEqual([['b', 'c', 'a'], ['b', 'a'], []]);
    items.apply([product('d', { category: 'Video', created_at: '2026-04-01T00:00:00Z' })]);
    nowMs = 1_000;
    expect(items.newest(undefined)).toEqual(['d', 'b', 'c', 'a']);
  });
});
