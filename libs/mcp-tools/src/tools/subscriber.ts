import type { Schemas } from '@millrace/client';
import { z } from 'zod';
import { ask } from '../ask.ts';
import { RefusedError } from '../refused-error.ts';
import type { Origin, ToolContext } from '../tool.ts';

export const subscriberInput = {
  isdn: z.string().min(1).max(256).meta({ description: 'Mobile number in any form (0912345678, +84912345678), or its token', example: '0912345678' }),
  unmask: z.boolean().default(false).meta({ description: 'true: the number as it is. Needs the scope pii:read and counts against a daily quota; leave it out unless the user asks for it' }),
};
export const freshness = z.object({ generation: z.int(), loaded_at: z.string().nullable(), source: z.string() });

type Found = Schemas['LookupAnswer'];

/** The one subscriber that was asked for, by POST: a number never stands in a URL. Throws RefusedError where the number is none, or nothing is known of it. */
export async function lookUp({ api, caller, signal }: ToolContext, { isdn, unmask, months }: { readonly isdn: string; readonly unmask: boolean; readonly months?: number }): Promise<{ readonly subscriber: Found['data'][number]; readonly freshness: Found['freshness']; readonly origin: Origin }> {
  if (unmask && !caller.scopes.includes('pii:read')) throw new RefusedError({ code: 'forbidden', detail: 'unmask needs the scope pii:read: leave it out', pointer: '/unmask' });
  const { data, origin } = await ask('POST /api/ut360/lookup', api.POST('/api/ut360/lookup', { body: { isdns: [isdn], unmask, ...(months !== undefined && { months }) }, signal }));
  if (typeof data === 'string') throw new Error('the lookup answered text');
  const [invalid] = data.invalid;
  if (invalid) throw new RefusedError({ code: 'invalid_request', detail: 'this is neither a Vietnamese mobile number nor a token of one', pointer: '/isdn' });
  const [subscriber] = data.data;
  if (!subscriber) throw new RefusedError({ code: 'not_found', detail: 'nothing is known of this subscriber', pointer: '/isdn' });
  return { subscriber, freshness: data.freshness, origin };
}
