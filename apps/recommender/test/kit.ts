import type { Interaction } from '@millrace/contracts';
import { productExample } from '@millrace/contracts';
import type { ProjectedChange } from '@millrace/projection';
import type { InteractionType } from '@millrace/ranking';

let clock = 0;

/** An event as the bus hands it over; each later than the one before. */
export function did(userId: string, type: InteractionType, asin: string, over: { category?: string; atMs?: number } = {}): Interaction {
  clock += 1;
  const atMs = over.atMs ?? Date.now();
  return {
    type, user_id: userId, asin, month: new Date(atMs).toISOString().slice(0, 7), category: over.category ?? null, brand: null, metadata: {},
    meta: { id: `e${clock}`, timestamp: new Date(atMs).toISOString(), schema: 1, streamId: `${1_000 + clock}-0` },
  };
}

export const product = (sku: string, over: Partial<NonNullable<ProjectedChange['product']>> = {}, version = 1): ProjectedChange => ({
  sku, version, product: { ...productExample, status: 'active', sku, version, name: `Thing ${sku}`, ...over },
});
