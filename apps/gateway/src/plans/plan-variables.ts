import { z } from 'zod';

export const planVariables = {
  PLAN_LEASE_MS: z.coerce.number().int().min(1_000).max(60_000).default(10_000).describe('A plan whose gateway died goes on elsewhere after this time, milliseconds'),
  PLAN_RETENTION_HOURS: z.coerce.number().int().min(1).max(8_760).default(168).describe('Plans are forgotten so long after their last change, with all that stood in them'),
  PLAN_GATEWAY_URL: z.url({ protocol: /^https?$/ }).optional().describe('Where steps of plans are called, such as a load balancer of gateways; default: this gateway itself'),
};
