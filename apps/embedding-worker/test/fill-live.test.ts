import { expect, it } from '@jest/globals';
import { createMemoryBus } from '@millrace/bus';
import { productExample } from '@millrace/contracts';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import type { ProjectedChange } from '@millrace/projection';
import { fillLive } from '../src/fill-live.ts';
import { memoryWriter } from './support/memory-writer.ts';

it('brings in everything that needs no model while that does not answer, and goes on to the stream', async () => {
  const { writer, kept } = memoryWriter();
  await writer.upsert([{ sku: 'old', version: 1, textHash: 'x', payload: { name: 'x', category: null, brand: null, merchant_id: 1, price_minor: null, currency: 'USD', in_stock: true, image_url: null }, embeddedAt: new Date().toISOString() }]);
  const batches: ProjectedChange[][] = [[{ sku: 'new', version: 1, product: { ...productExample, status: 'active', sku: 'new', version: 1 } }], [{ sku: 'old', version: 2 }]];
  const warned: unknown[] = [];
  const bus = createMemoryBus();
  const filled = await fillLive({
    admin: { ping: async () => undefined, liveCollection: async () => 'c', count: async () => 1 },
    collections: { withLive: async (work) => work({ collection: 'c', writer, embed: async () => Promise.reject(new EmbeddingUnavailableError('the budget is used up', { trouble: 'budget' })) }) },
    readExport: async (_options, onBatch) => {
      for (const batch of batches) await onBatch(batch, { after: '', watermark: '' });
      return { watermark: '', rows: 2 };
    },
    bus, rebuild: async () => undefined, logger: { warn: (fields: unknown) => void warned.push(fields) },
  }, new AbortController().signal);
  expect(filled).toBe(true);
  expect([...kept].map(([sku, { version, deleted }]) => [sku, version, deleted])).toEqual([['old', 2, true]]);
  expect(warned).toEqual([{ waiting: 1 }]);
  await bus.close();
});
