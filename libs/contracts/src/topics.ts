import { z } from 'zod';
import { productExample } from './http/products.ts';
import { indexUpdates } from './index-updates.ts';
import { productUpdates } from './product-updates.ts';
import { productSchema, skuSchema } from './product.ts';
import type { TopicContract } from './topic-contract.ts';

const productUpdatesContract: TopicContract<typeof productUpdates> = {
  topic: productUpdates,
  description: 'Every change of the catalogue that was committed, in commit order for each product: the whole product each time, so that the last event of a product is all that a reader needs.',
  key: 'sku of the product',
  producers: ['catalog-api'],
  consumers: [{ service: 'embedding-worker', group: 'embedding-worker' }, { service: 'es-sync-worker', group: 'es-sync-worker' }],
  hasHeartbeats: true,
  events: {
    create: { summary: 'A product is new, or is back after it was deleted', data: productSchema, example: { version: productExample.version, product: productExample } },
    update: { summary: 'A product changed', data: productSchema, example: { version: productExample.version, product: productExample } },
    delete: { summary: 'A product was deleted', data: z.object({ id: skuSchema }), example: { version: productExample.version + 1, sku: productExample.sku } },
  },
};

const indexUpdatesContract: TopicContract<typeof indexUpdates> = {
  topic: indexUpdates,
  description: 'The search index or the vector store changed, and readers can see it: a hint to throw away answers that were cached.',
  key: 'the store that changed',
  producers: ['es-sync-worker', 'embedding-worker'],
  consumers: [],
  hasHeartbeats: false,
  events: {
    changed: { summary: 'Some products of a store changed', example: { store: 'search', items: [{ sku: productExample.sku, version: productExample.version, categories: [productExample.category] }] } },
    swapped: { summary: 'A store was rebuilt: everything in it may have changed', example: { store: 'vectors', index: 'vectors-2', all: true } },
  },
};

/** Every public topic of Millrace. */
export const topics: readonly TopicContract[] = [productUpdatesContract, indexUpdatesContract];
