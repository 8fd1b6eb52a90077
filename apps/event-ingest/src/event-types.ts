import { allowedEventTypes } from '@millrace/contracts';
import type { InteractionType } from '@millrace/contracts';
import type { ReadItem } from './read-events.ts';

/** Publishable keys are limited to some types, see `allowedEventTypes`; undefined: this one may be sent. */
export function refusalOf(scopes: readonly string[], type: InteractionType): string | undefined {
  const allowed = allowedEventTypes(scopes);
  if (!allowed || allowed.has(type)) return undefined;
  return `this publishable key may send ${[...allowed].join(', ')}, not ${type}: send it from your server, or make a key with --event-types`;
}

/** The item, or what is wrong with its type. */
export function limitType(scopes: readonly string[], item: ReadItem): ReadItem {
  const detail = 'event' in item ? refusalOf(scopes, item.event.event_type) : undefined;
  return detail === undefined ? item : { problem: { code: 'forbidden', pointer: '/event_type', detail } };
}
