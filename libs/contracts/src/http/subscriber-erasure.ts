import { z } from 'zod';
import { defineOperation } from '../operation.ts';

/** ISDNs of one request. */
export const MAX_ERASED_ISDNS = 1_000;

export const eraseSubscribersSchema = z.strictObject({
  isdns: z.array(z.string().min(1).max(200)).min(1).max(MAX_ERASED_ISDNS).meta({ description: 'Vietnamese mobile numbers in any form, or opaque tokens' }),
});
export const subscriberErasureSchema = z
  .object({
    subscribers: z.int().meta({ description: 'Subscribers that were named, without repetitions' }),
    recorded: z.int().meta({ description: 'Of those, never erased before' }),
    state: z.enum(['done', 'open']).meta({ description: 'open: recorded, answered 404 and left out of loads; the stores are cleared as soon as what it waits for is over' }),
    waits_for: z.enum(['load', 'redis']).nullable(),
    rows: z.record(z.string(), z.int()).meta({ description: 'Rows of Postgres that went, by table' }),
  })
  .meta({ id: 'SubscriberErasure' });

export const eraseSubscribersOperation = defineOperation({
  operationId: 'eraseSubscribers', method: 'post', path: '/api/ut360/erase', service: 'ut360-lookup', scope: 'users:erase', audited: true, timeoutMs: 60_000, summary: 'Erase subscribers in every generation of both stores',
  description: 'For ever: loads leave them out from now on. No ISDN is in the URL, the answer or the audit log. Safe to repeat: where the state is open, the same request tells how far it is.',
  body: eraseSubscribersSchema, bodyExample: { isdns: ['0912345678'] },
  responses: { 200: { description: 'What was done', schema: subscriberErasureSchema, example: { subscribers: 1, recorded: 1, state: 'done', waits_for: null, rows: { recommendations: 2, subscriber_360_profiles: 2, subscriber_monthly_arpu: 24 } } } },
});
