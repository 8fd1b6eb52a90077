import { interactionTypes } from './interactions.ts';
import type { InteractionType } from './interactions.ts';

/** What a publishable key may send where nothing else was asked for: no purchase, no rating, because a browser may claim anything. */
export const defaultPublishableTypes: readonly InteractionType[] = ['view', 'click', 'add_to_cart'];

const PREFIX = 'events:write:';

/** Goes into the signed identity of a publishable key, beside events:write: it may send this type. */
export const eventTypeScope = (type: string): string => `${PREFIX}${type}`;

/** The types that a caller is limited to; undefined: it may send every one. */
export function allowedEventTypes(scopes: readonly string[]): ReadonlySet<InteractionType> | undefined {
  const limits = new Set(scopes.filter((scope) => scope.startsWith(PREFIX)));
  return limits.size === 0 ? undefined : new Set(interactionTypes.filter((type) => limits.has(eventTypeScope(type))));
}
