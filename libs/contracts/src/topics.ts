import { z } from 'zod';
import { productExample } from './http/products.ts';
import { indexUpdates } from './index-updates.ts';
import { interactionDataSchema, interactions } from './interactions.ts';
import { keyUpdatesContract } from './key-updates.ts';
import { productUpdates } from './product-updates.ts';
import { productSchema, skuSchema } from './product.ts';
import { relevanceUpdates } from './relevance-updates.ts';
import { searches } from './searches.ts';
import type { TopicContract } from './topic-contract.ts';
import { userTopics } from './user-topics.ts';

const productUpdatesContract: TopicContract<typeof productUpdates> = {
  topic: productUpdates,
  description: 'Every change of the catalogue that was committed, in commit order for each product: the whole product each time, so that the last event of a product is all that a reader needs.',
  key: 'sku of the product',
  producers: ['catalog-api'],
  consumers: [{ service: 'embedding-worker', group: 'embedding-worker' }, { service: 'es-sync-worker', group: 'es-sync-worker' }, { service: 'event-ingest', group: 'event-ingest' }, { service: 'recommender' }, { service: 'gateway' }],
  hasHeartbeats: true,
  events: {
    create: { summary: 'A product is new, or is back after it was deleted', data: productSchema, example: { version: productExample.version, product: productExample } },
    update: { summary: 'A product changed', data: productSchema, example: { version: productExample.version, product: productExample } },
    delete: { summary: 'A product was deleted', data: z.object({ id: skuSchema }), example: { version: productExample.version + 1, sku: productExample.sku } },
  },
};

const indexUpdatesContract: TopicContract<typeof indexUpdates> = {
  topic: indexUpdates,
  description: 'The search index, the vector store, or what decides the order of answers changed, and readers can see it: a hint to throw away answers that were cached.',
  key: 'the store that changed',
  producers: ['es-sync-worker', 'embedding-worker', 'catalog-api'],
  consumers: [{ service: 'gateway' }],
  hasHeartbeats: false,
  events: {
    changed: { summary: 'Some products of a store changed', example: { store: 'search', items: [{ sku: productExample.sku, version: productExample.version, categories: [productExample.category] }] } },
    swapped: { summary: 'A store was rebuilt: everything in it may have changed', example: { store: 'vectors', index: 'vectors-2', all: true } },
    retuned: { summary: 'Synonyms or merchandising rules changed: the same documents, other answers. One event for each instance of catalog-api, when it has loaded them', example: { store: 'search', revision: 18, all: true } },
  },
};

const relevanceUpdatesContract: TopicContract<typeof relevanceUpdates> = {
  topic: relevanceUpdates,
  description: 'A synonym or a merchandising rule changed: a hint to load what is in force now.',
  key: 'always the same',
  producers: ['catalog-api'],
  consumers: [{ service: 'catalog-api' }],
  hasHeartbeats: false,
  events: { changed: { summary: 'The synonyms and rules have a new revision', example: { revision: 18 } } },
};

const searchesContract: TopicContract<typeof searches> = {
  topic: searches,
  description: 'The search log. Published behind the answer and never in its way, so some may be missing; the gateway adds the searches that its cache answered, alike ones together (times); query and user are free of what names a person as far as a program can tell.',
  key: 'pseudonym of the user, else the id of the event',
  producers: ['catalog-api', 'gateway'],
  consumers: [{ service: 'catalog-api', group: 'search-counts' }, { service: 'event-ingest', group: 'analytics' }, { service: 'event-ingest' }],
  hasHeartbeats: false,
  events: {
    executed: {
      summary: 'Somebody searched; the first page only',
      example: { query: 'tai nghe', filters: { category: 'Audio', currency: 'USD', sort: 'relevance' }, hits: 42, ms: 3.1, user: 'u_9fX2mQ0bY7c1Zr5tLk3w8A', degraded: false },
    },
  },
};

const interaction = (metadata: Record<string, string>, rating?: number) => ({
  user_id: '123', asin: productExample.sku, month: '2026-11', category: productExample.category, brand: productExample.brand, metadata, ...(rating !== undefined && { rating }),
});
const interactionsContract: TopicContract<typeof interactions> = {
  topic: interactions,
  description: 'What shoppers do, once for each event id within an hour. `timestamp` is when it happened, as the caller says: a replay of old events is in the past.',
  key: 'user_id, as text',
  producers: ['event-ingest'],
  consumers: [{ service: 'event-ingest', group: 'interactions-writer' }, { service: 'event-ingest', group: 'analytics' }, { service: 'event-ingest' }, { service: 'recommender', group: 'recommender' }, { service: 'recommender', group: 'recommender-experiments' }],
  hasHeartbeats: false,
  events: {
    view: { summary: 'A product was looked at', data: interactionDataSchema, example: interaction({ page: 'detail' }) },
    click: { summary: 'A product was clicked in a list', data: interactionDataSchema, example: interaction({ list: 'home' }) },
    add_to_cart: { summary: 'A product was put into the cart', data: interactionDataSchema, example: interaction({}) },
    purchase: { summary: 'A product was bought', data: interactionDataSchema, example: interaction({ order: 'A-17' }) },
    rate: { summary: 'A product was rated', data: interactionDataSchema, example: interaction({}, 4.5) },
  },
};

/** Every public topic of Millrace. */
export const topics: readonly TopicContract[] = [productUpdatesContract, indexUpdatesContract, relevanceUpdatesContract, searchesContract, interactionsContract, ...userTopics, keyUpdatesContract];

/** Groups that read a topic, by the catalogue. */
export const groupsOfTopic = (name: string): readonly string[] => [...new Set(topics.flatMap(({ topic, consumers }) => (topic.name === name ? consumers.flatMap(({ group }) => group ?? []) : [])))];
