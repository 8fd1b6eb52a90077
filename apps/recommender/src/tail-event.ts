import { interactionTypes } from '@millrace/contracts';
import { z } from 'zod';
import type { CountedEvent } from './count-changes.ts';

const stored = z.tuple([z.string(), z.string(), z.string(), z.enum(interactionTypes), z.number(), z.string().nullable()]);

/** An event as it waits for a generation that is being built. */
export interface TailEvent { readonly id: string; readonly event: CountedEvent }

export const encodeTailEvent = (id: string, { userId, sku, type, atMs, category }: CountedEvent): string => JSON.stringify([id, userId, sku, type, atMs, category] satisfies z.input<typeof stored>);

/** What encodeTailEvent wrote; throws on anything else. */
export function decodeTailEvent(text: string): TailEvent {
  const [id, userId, sku, type, atMs, category] = stored.parse(JSON.parse(text));
  return { id, event: { userId, sku, type, atMs, category } };
}
