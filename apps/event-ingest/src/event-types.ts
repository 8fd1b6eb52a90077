import { allowedEventTypes } from '@millrace/contracts';
import type { InteractionType } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { ReadItem } from './read-events.ts';

/** Publishable keys are limited to some types, see `allowedEventTypes`; undefined: this one may be sent. */
function refusalOf(scopes: readonly string[], type: InteractionType): string | undefined {
  const allowed = allowedEventTypes(scopes);
  if (!allowed || allowed.has(type)) return undefined;
  return `this publishable key may send ${[...allowed].join(', ')}, not ${type}: send it from your server, or make a key with --event-types`;
}

/** @throws forbidden where the caller may not send this type */
export function checkType(scopes: readonly string[], type: InteractionType): void {
  const refusal = refusalOf(scopes, type);
  if (refusal !== undefined) throw new AppError('forbidden', refusal, { details: [{ in: 'body', pointer: '/event_type', detail: 'is not for this key' }] });
}

/** The item, or that the caller may not send its type. */
export function limitType(scopes: readonly string[], item: ReadItem): ReadItem {
  const detail = 'event' in item ? refusalOf(scopes, item.event.event_type) : undefined;
  return detail === undefined ? item : { problem: { code: 'forbidden', pointer: '/event_type', detail } };
}
