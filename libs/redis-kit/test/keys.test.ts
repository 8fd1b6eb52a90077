import { describe, expect, it } from '@jest/globals';
import { compareStreamIds, createKeys } from '../src/index.ts';

describe('createKeys', () => {
  it('names a single instance\'s keys exactly as documented', () => {
    const keys = createKeys();
    expect(keys.topic('product:updates')).toMatchObject({ stream: 'product:updates', epoch: 'product:updates:epoch' });
    expect(keys.topic('product:updates').deadLetters('es-sync-worker')).toBe('product:updates:dlq:es-sync-worker');
    expect(keys.user('7')).toEqual({ recentItems: 'user:7:recent_items', recentCategories: 'user:7:recent_categories', lastActive: 'user:7:last_active' });
    expect(keys.syncTracker('products')).toBe('sync:products');
  });

  it('keeps a stream and its side keys under one hash tag on Cluster', () => {
    const keys = createKeys({ cluster: true });
    const topic = keys.topic('interactions', 3);
    for (const key of [topic.stream, topic.epoch, topic.deadLetters('writer'), topic.attempts('writer'), topic.bootstrapped('writer')]) {
      expect(key.startsWith('interactions:{interactions:3}')).toBe(true);
    }
    expect(keys.topic('interactions').stream).toBe('interactions:{interactions:0}');
    expect(keys.user('7').lastActive).toBe('user:{7}:last_active');
  });
});

describe('compareStreamIds', () => {
  it.each([
    { a: '1-2', b: '1-10', sign: -1 },
    { a: '10-0', b: '9-99', sign: 1 },
    { a: '5-5', b: '5-5', sign: 0 },
    { a: '0-0', b: '1-0', sign: -1 },
  ])('orders $a and $b by number, not by text', ({ a, b, sign }) => {
    expect(Math.sign(compareStreamIds(a, b))).toBe(sign);
  });
});
