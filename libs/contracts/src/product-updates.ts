import { defineTopic, latestByKey } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';
import { productSchema, skuSchema } from './product.ts';

/** Version of the product row; consumers drop events older than what they have stored. */
const version = z.int().positive();

/**
 * Every change of the catalogue, in commit order for each product. Producer: catalog-api's outbox relay.
 * Wire (flat stream fields): event_type create|update|delete|heartbeat, product_id (= sku), timestamp, data (JSON: the whole
 * product, `{id}` for a delete), id, version, traceparent, schema.
 */
export const productUpdates = defineTopic(
  'product:updates',
  {
    create: z.object({ version, product: productSchema }),
    update: z.object({ version, product: productSchema }),
    delete: z.object({ version, sku: skuSchema }),
  },
  {
    schemaVersion: 1,
    keyField: 'product_id',
    keyOf: (event) => (event.type === 'delete' ? event.sku : event.product.sku),
    versionOf: (event) => event.version,
    toData: (event) => (event.type === 'delete' ? { id: event.sku } : event.product),
    fromData: (type, data, fields) =>
      type === 'delete' ? { version: Number(fields['version']), sku: fields['product_id'] } : { version: Number(fields['version']), product: data },
  },
);
export type ProductUpdate = EventOf<typeof productUpdates>;

/** The last change of each product in a batch: all that a sink of whole states needs. */
export const latestProductUpdates = (events: readonly ProductUpdate[]): ProductUpdate[] => latestByKey(productUpdates, events);
