import { describe, expect, it } from '@jest/globals';
import type { VectorModel, VectorReader } from '@millrace/vectors';
import { createVectorReuse } from '../src/reuse-vectors.ts';

const models: Record<string, VectorModel> = Object.fromEntries([['old', 'm'], ['new', 'm'], ['other', 'n']].map(([name, id]) => [name, { id: id ?? '', dimensions: 2, document: '{}' }]));
const payload = { name: 'x', category: null, brand: null, merchant_id: 1, price_minor: 1, currency: 'USD', in_stock: true, image_url: null };

function open(live: string | undefined) {
  const events: string[] = [];
  const reader: VectorReader = {
    exact: true, model: async () => models['old'], nearest: async () => [], close: async () => void events.push('closed'),
    get: async (sku) => (sku === 'broken' ? Promise.reject(new Error('away')) : sku === 'a' ? { sku, version: 1, vector: Float32Array.of(1, 0), textHash: 'h', payload, embeddedAt: '' } : undefined),
  };
  const world = { live };
  const reuse = createVectorReuse({
    liveCollection: async () => world.live,
    modelOf: async (name) => models[name] ?? Promise.reject(new Error('none')),
    openReader: async (name) => { events.push(`opened ${name}`); return reader; },
  });
  return { reuse, events, world };
}

describe('vectors that need not be made again', () => {
  it('are those of the same text in a live collection of the very same model', async () => {
    const { reuse, events } = open('old');
    const known = await reuse.of('new');
    expect(await known?.('a', 'h')).toEqual(Float32Array.of(1, 0));
    expect(await known?.('a', 'another text')).toBeUndefined();
    expect(await known?.('b', 'h')).toBeUndefined();
    await reuse.of('new');
    expect(events).toEqual(['opened old']);
    await reuse.close();
    expect(events).toEqual(['opened old', 'closed']);
  });
  it.each([{ live: undefined }, { live: 'other' }, { live: 'new' }, { live: 'not there' }])('are none where the live collection is $live', async ({ live }) => {
    expect(await open(live).reuse.of('new')).toBeUndefined();
  });
  it('are made again where the live collection cannot be read', async () => {
    const known = await open('old').reuse.of('new');
    expect(await known?.('broken', 'h')).toBeUndefined();
  });
  it('follow the live collection when it changes', async () => {
    const { reuse, world } = open('old');
    expect(await reuse.of('new')).toBeDefined();
    world.live = 'other';
    expect(await reuse.of('new')).toBeUndefined();
  });
});
