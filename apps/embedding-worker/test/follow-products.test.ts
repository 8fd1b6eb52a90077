import { describe, expect, it } from '@jest/globals';
import { createMemoryBus, isUnavailable, PartialFailureError } from '@millrace/bus';
import { indexUpdates, productExample } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { eventually } from '@millrace/testing';
import { createLane } from '@millrace/projection';
import type { Target } from '../src/embed-products.ts';
import { followProducts } from '../src/follow-products.ts';
import { memoryWriter } from './support/memory-writer.ts';

const timestamp = '2026-11-22T10:00:00.000Z';
const meta = (streamId: string) => ({ id: streamId, timestamp, streamId, schema: 1 });
const put = (streamId: string, sku: string, version: number, name: string): ProductUpdate => ({ type: 'update', version, product: { ...productExample, status: 'active', sku, version, name }, meta: meta(streamId) });
const gone = (streamId: string, sku: string, version: number): ProductUpdate => ({ type: 'delete', version, sku, meta: meta(streamId) });

describe('followProducts while the budget of the model is used up', () => {
  it('does all of a batch that needs no model, tells the caches, and leaves to the bus only the last change of each text', async () => {
    const { writer, kept } = memoryWriter();
    const bus = createMemoryBus();
    const told: unknown[] = [];
    await bus.subscribe(indexUpdates, { group: 'cache' }, async (events) => void told.push(...events.flatMap((event) => (event.type === 'changed' ? event.items.map(({ sku }) => sku) : []))));
    const visible: string[] = [];
    let isUsedUp = false;
    const embed: Target['embed'] = async (texts) => {
      if (isUsedUp) throw new EmbeddingUnavailableError('the budget is used up', { trouble: 'budget' });
      return texts.map(() => Float32Array.of(1));
    };
    const handle = followProducts({
      collections: { write: async (work) => work({ collection: 'c', writer, embed }) },
      lane: createLane({ idleRows: 1, busyRows: 1 }), health: undefined, bus, onVisible: (timestamps) => visible.push(...timestamps),
    });
    await handle([put('1-0', 'a', 1, 'x'), put('2-0', 'b', 1, 'y')]);
    isUsedUp = true;
    const waiting = [put('4-0', 'b', 2, 'another'), put('5-0', 'b', 3, 'yet another')];
    const failure: unknown = await handle([gone('3-0', 'a', 2), ...waiting]).then(() => undefined, (error: unknown) => error);
    if (!(failure instanceof PartialFailureError)) throw new Error(`was not a PartialFailureError but ${String(failure)}`);
    expect([...failure.failures].map(([id, error]) => [id, isUnavailable(error)])).toEqual([['5-0', true]]);
    expect([...kept].map(([sku, { version, deleted }]) => [sku, version, deleted])).toEqual([['a', 2, true], ['b', 1, false]]);
    await eventually(() => told.length === 3);
    expect(told).toEqual(['a', 'b', 'a']);
    expect(visible).toHaveLength(4);
    isUsedUp = false;
    await handle(waiting.slice(1));
    expect(kept.get('b')?.version).toBe(3);
    await bus.close();
  });
});
