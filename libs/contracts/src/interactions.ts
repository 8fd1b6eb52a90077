import { defineTopic } from '@millrace/bus/topics';
import type { EventOf, NewEventOf } from '@millrace/bus/topics';
import { z } from 'zod';

export const interactionTypes = ['view', 'click', 'add_to_cart', 'purchase', 'rate'] as const;
export type InteractionType = (typeof interactionTypes)[number];

/** The wire field `data` of an interaction. */
export const interactionDataSchema = z.object({
  session_id: z.string().optional(),
  ranking_id: z.string().optional().meta({ description: 'Id of the list that the product was shown in' }),
  rating: z.number().optional().meta({ description: '1 to 5; only for rate' }),
  category: z.string().nullable().meta({ description: 'Of the product, as it was known when the event came; null: unknown' }),
  brand: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()).meta({ description: 'JSON, as it was given' }),
});

/** An interaction without its type. */
export const interactionSchema = interactionDataSchema.extend({
  user_id: z.string().min(1).meta({ description: 'Also of numbers: 123 and "123" are one user' }),
  asin: z.string().min(1).meta({ description: 'sku of the product' }),
  month: z.string().regex(/^\d{4}-\d{2}$/).meta({ description: 'UTC month of the timestamp, taken once at the door: the partition of the row' }),
});

/** An event id that comes again in this time is dropped at the door and, where the door did not see it, by the bus. */
export const INTERACTION_DEDUP_MS = 3_600_000;

/**
 * What shoppers do. Producer: event-ingest, whose door drops an event id that came within the last hour; after that the writer's primary key
 * (month, event id) does. On Redis its script appends, dropping the ids that the door noted: dedupMs costs nothing there. Wire (flat stream fields): event_type view|click|add_to_cart|purchase|rate, user_id, timestamp (when it happened), data
 * (JSON: interactionDataSchema), id (event id), traceparent, schema, asin, month.
 */
export const interactions = defineTopic(
  'interactions',
  { view: interactionSchema, click: interactionSchema, add_to_cart: interactionSchema, purchase: interactionSchema, rate: interactionSchema },
  {
    schemaVersion: 1,
    isPersonal: true,
    dedupMs: INTERACTION_DEDUP_MS,
    keyField: 'user_id',
    keyOf: (event) => event.user_id,
    extraFields: { asin: (event) => event.asin, month: (event) => event.month },
    toData: ({ session_id, ranking_id, rating, category, brand, metadata }) => ({ session_id, ranking_id, rating, category, brand, metadata }),
    fromData: (_type, data, fields) => ({ ...(typeof data === 'object' && data), user_id: fields['user_id'], asin: fields['asin'], month: fields['month'] }),
  },
);
export type Interaction = EventOf<typeof interactions>;
export type NewInteraction = NewEventOf<typeof interactions>;
