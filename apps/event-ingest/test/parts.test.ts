import { describe, expect, it } from '@jest/globals';
import { repeatAfterMs } from '../src/erasure-job.ts';
import { createAcknowledged } from '../src/acknowledged.ts';
import type { KnownInteraction } from '../src/interaction.repository.ts';
import { createItemCache } from '../src/item-cache.ts';
import type { KnownItem } from '../src/item.repository.ts';

const event = (id: string): KnownInteraction => ({ type: 'view', user_id: '1', asin: 'A', month: '2026-11', category: null, brand: null, metadata: {}, meta: { id, timestamp: '2026-11-01T00:00:00.000Z' } });

describe('acknowledged events', () => {
  it('are those of the last seconds before the newest one: an outage does not age them', () => {
    let now = 0;
    const acknowledged = createAcknowledged({ windowMs: 5_000, nowMs: () => now });
    for (const at of [0, 1_000, 6_500]) {
      now = at;
      acknowledged.add([event(String(at))]);
    }
    now = 60_000;
    expect(acknowledged.recent().map(({ meta }) => meta.id)).toEqual(['6500']);
    acknowledged.add([event('60000')]);
    expect(acknowledged.recent().map(({ meta }) => meta.id)).toEqual(['60000']);
  });
  it('are bounded: the newest stay', () => {
    const acknowledged = createAcknowledged({ capacity: 3_000, nowMs: () => 0 });
    for (let n = 0; n < 10_000; n += 1) acknowledged.add([event(String(n))]);
    const recent = acknowledged.recent();
    expect([recent.length, recent[0]?.meta.id, recent.at(-1)?.meta.id]).toEqual([3_000, '7000', '9999']);
  });
});

describe('the items in memory', () => {
  const item = (version: number, category: string): KnownItem => ({ sku: 'A', version, category, brand: null });
  it('are looked up once, also those that are not there', async () => {
    const asked: string[][] = [];
    const cache = createItemCache({ load: async (skus) => (asked.push([...skus]), [item(1, 'Audio')]) });
    for (let time = 0; time < 3; time += 1) expect((await cache.find(['A', 'B', 'A'])).get('A')).toMatchObject({ category: 'Audio' });
    expect(asked).toEqual([['A', 'B']]);
  });
  it('never go back to an older version, whichever comes first', async () => {
    const { promise, resolve } = Promise.withResolvers<KnownItem[]>();
    const cache = createItemCache({ load: () => promise });
    const found = cache.find(['A']);
    const product = { sku: 'A', version: 2, content_version: 2, merchant_id: 1, name: 'n', description: null, category: 'New', brand: null, mpn: null, ean: [], price: null, price_minor: null, currency: 'USD', stock: null, image_url: null, attributes: {}, status: 'active' as const, created_at: '', updated_at: '' };
    await cache.follow([{ type: 'update', version: 2, product, meta: { id: '1', timestamp: '', schema: 1 } }]);
    resolve([item(1, 'Old')]);
    expect((await found).get('A')).toMatchObject({ category: 'New' });
  });
  it('do not hold up an event when they cannot be looked up, and are left alone for a moment then', async () => {
    let asked = 0;
    const cache = createItemCache({ waitMs: 5, load: () => ((asked += 1), new Promise(() => undefined)) });
    expect((await cache.find(['A'])).get('A')).toMatchObject({ category: null });
    expect((await cache.find(['A'])).get('A')).toMatchObject({ category: null });
    expect(asked).toBe(1);
  });
});

describe('the pause before a service is asked again to erase', () => {
  it.each([[1_000, 10_000], [600_000, 60_000], [86_400_000, 300_000]])('of a job that is %d ms old is %d ms', (ageMs, pauseMs) => {
    expect(repeatAfterMs(10_000, ageMs)).toBe(pauseMs);
  });
});
