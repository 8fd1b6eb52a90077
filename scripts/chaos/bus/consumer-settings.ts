import { defineTopic } from '@millrace/bus';
import { z } from 'zod';
import { points } from './plan.ts';

export const GROUP = 'chaos';
/** How often a consumer tidies up its group; an hour by default. */
export const FORGET_MS = 5_000;

/** Change number `n`, in commit order for each account. */
export const changesTopic = (name: string) =>
  defineTopic(name, { change: z.object({ key: z.string(), n: z.int().positive() }) }, { schemaVersion: 1, keyOf: (event) => event.key, versionOf: (event) => event.n });

/** The only argument of consumer.ts, as JSON. */
export const settingsSchema = z.object({
  consumer: z.string(),
  redisUrl: z.string(),
  databaseUrl: z.string(),
  schema: z.string(),
  topic: z.string(),
  ordering: z.enum(['none', 'key']),
  partitions: z.int(),
  claimIdleMs: z.int(),
  leaseMs: z.int(),
  /** What handling takes for each event, beside the statements. */
  workMs: z.number(),
  logFile: z.string(),
});
export type ConsumerSettings = z.output<typeof settingsSchema>;

/** What the parent sends: die there, at the next chance. */
export const orderSchema = z.object({ dieAt: z.enum(points) });
