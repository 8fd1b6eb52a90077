import { z } from 'zod';
import { ask } from '../ask.ts';
import { OF_PERSONS, READS, defineTool } from '../tool.ts';
import { userId } from './user-id.ts';

const item = z.object({ sku: z.string(), at: z.string() });
const data = z.object({
  last_active: z.string().nullable().meta({ description: 'null: nothing is known of the last minutes' }), looked_at: z.array(item).meta({ description: 'Newest first' }), bought: z.array(item),
  categories: z.array(z.object({ category: z.string(), events: z.int() })).meta({ description: 'Most often first' }),
});
const itemsOf = (items: readonly { readonly asin: string; readonly at: string }[]) => items.map(({ asin, at }) => ({ sku: asin, at }));

export const customerContext = defineTool({
  name: 'customer_context', title: 'What a customer did just now', scopes: ['events:read'], annotations: READS, ...OF_PERSONS, input: z.strictObject({ user_id: userId }), output: data,
  description: 'What this customer looked at and bought in the last minutes, to begin the talk where they are.',
  async run({ user_id: id }, { api, signal }) {
    const { data: found, origin } = await ask('GET /api/users/{id}/context', api.GET('/api/users/{id}/context', { params: { path: { id } }, signal }));
    const categories = Object.entries(found.recent_categories).map(([category, events]) => ({ category, events })).toSorted((a, b) => b.events - a.events);
    return { data: { last_active: found.last_active, looked_at: itemsOf(found.recent_items), bought: itemsOf(found.recent_purchases), categories }, origin };
  },
});
