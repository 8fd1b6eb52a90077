import { describe, expect, it } from '@jest/globals';
import { modelId, serializeModel, unfittedModel } from '@millrace/embedding';
import { createFitDue } from '../src/fit-due.ts';
import type { FitDueDeps } from '../src/fit-due.ts';

const unfitted = unfittedModel({ dimensions: 16 });
const model = { id: modelId(unfitted), dimensions: 16, document: serializeModel(unfitted) };

function due(over: Partial<FitDueDeps> & { live?: string | undefined; count?: number } = {}) {
  const { live = 'vectors-1', count = 600, ...deps } = over;
  return createFitDue({
    admin: { ping: async () => undefined, liveCollection: async () => ('live' in over ? over.live : live), modelOf: async () => model, count: async () => count },
    health: undefined, policy: { minProducts: 500, minIntervalMs: 60_000 }, definition: { kind: 'tfidf-hashed', dimensions: 16 }, everyMs: 0, lag: async () => ({ messages: 0 }), msSinceLastFit: async () => Infinity, ...deps,
  });
}

describe('why a collection is built anew', () => {
  it.each([
    ['there is none', { live: undefined }, ['first', 'first']],
    ['it is lost', { health: { isLost: async () => true, failed: () => undefined } }, ['repair', 'repair']],
    ['it has other dimensions', { definition: { kind: 'tfidf-hashed' as const, dimensions: 32 } }, ['definition', 'definition']],
    ['another model is configured', { definition: { kind: 'openai' as const, model: 'm', dimensions: 16 } }, ['definition', 'definition']],
    ['it is in the store before', { live: 'embedded!vectors-1' }, ['definition', 'definition']],
    ['its model was fitted on fewer products, at the second look', {}, [undefined, 'model']],
    ['nothing: the catalogue is small', { count: 10 }, [undefined, undefined]],
    ['nothing: the group lags', { lag: async () => ({ messages: 5_000 }) }, [undefined, undefined]],
  ])('%s', async (_what, over, expected) => {
    const look = due(over);
    expect([await look(), await look()]).toEqual(expected);
  });
  it('looks at the growth of the catalogue no more often than it is told', async () => {
    let now = 0;
    const look = due({ everyMs: 2_000, nowMs: () => now });
    const found: unknown[] = [];
    for (now = 0; now <= 4_000; now += 1_000) found.push(await look());
    expect(found).toEqual([undefined, undefined, 'model', undefined, 'model']);
  });
  it('rejects where the store cannot be asked: nothing is due because of an outage', async () => {
    await expect(due({ admin: { ping: async () => Promise.reject(new Error('away')), liveCollection: async () => undefined, modelOf: async () => model, count: async () => 0 } })()).rejects.toThrow('away');
  });
});
