import { z } from 'zod';
import { OF_PERSONS, READS, defineTool } from '../tool.ts';
import { freshness, lookUp, subscriberInput } from './subscriber.ts';

const number = z.number().nullable();
const data = z.object({
  isdn: z.string().meta({ description: 'Masked unless unmask was given' }),
  recommendation: z.record(z.string(), z.unknown()).nullable(), profile: z.record(z.string(), z.unknown()).nullable(),
  arpu: z.array(z.object({ month: z.string(), call: number, sms: number, data: number, total: number })).meta({ description: 'Oldest month first' }),
  freshness: z.object({ recommendation: freshness, profile: freshness, arpu: freshness }),
});

export const subscriber360 = defineTool({
  name: 'subscriber_360', title: 'All of a subscriber', scopes: ['ut360:read'], annotations: READS, ...OF_PERSONS, output: data,
  input: z.strictObject({ ...subscriberInput, months: z.int().min(1).max(24).default(6).meta({ description: 'Months of ARPU' }) }),
  description: 'Recommendation, profile and monthly revenue of a telecom subscriber. The number is masked in the answer.',
  async run(given, context) {
    const { subscriber, freshness: loaded, origin } = await lookUp(context, given);
    return { data: { ...subscriber, arpu: subscriber.arpu ?? [], freshness: loaded }, origin };
  },
});
