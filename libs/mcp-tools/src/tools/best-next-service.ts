import { z } from 'zod';
import { RefusedError } from '../refused-error.ts';
import { OF_PERSONS, READS, defineTool } from '../tool.ts';
import { freshness, lookUp, subscriberInput } from './subscriber.ts';

const number = z.number().nullable();
const data = z.object({
  isdn: z.string(), service_type: z.string(), advance_amount: number, bad_debt_risk: z.string().meta({ description: 'LOW, MEDIUM or HIGH: do not offer an advance at HIGH without asking' }),
  priority_score: number, customer_value_score: number, advance_readiness_score: number, arpu_avg_6m: number, arpu_trend: z.string().nullable(), freshness,
});

export const bestNextService = defineTool({
  name: 'best_next_service', title: 'The service to offer next', scopes: ['ut360:read'], annotations: READS, ...OF_PERSONS, input: z.strictObject(subscriberInput), output: data,
  description: 'Which service to offer a telecom subscriber next, how much, and how risky it is.',
  async run(given, context) {
    const { subscriber: { isdn, recommendation }, freshness: loaded, origin } = await lookUp(context, given);
    if (!recommendation) throw new RefusedError({ code: 'not_found', detail: 'there is no recommendation for this subscriber', pointer: '/isdn' });
    return { data: { ...recommendation, isdn, freshness: loaded.recommendation }, origin };
  },
});
