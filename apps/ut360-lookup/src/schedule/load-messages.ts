import { z } from 'zod';

/** What the process that loads is told at its start. It reads no variables itself, and nothing is in its arguments: these are secrets. */
export const loadSettingsSchema = z.object({
  /** ISO time that the run is for. */
  dueAt: z.string(),
  logLevel: z.string(),
  databaseUrl: z.string(),
  redisUrl: z.string(),
  erasureSecret: z.string().optional(),
  /** Of the lease. */
  busRedisUrl: z.string(),
  directory: z.string(),
  names: z.object({ recommendations: z.string(), profiles: z.string(), arpu: z.string() }),
  mappingFile: z.string().optional(),
  maxBad: z.string(),
  settleMs: z.number(),
  keep: z.number(),
  aliasKeys: z.boolean(),
  retryMs: z.number(),
  maxAttempts: z.number(),
  leaseMs: z.number(),
});
export type LoadSettings = z.output<typeof loadSettingsSchema>;

/**
 * loaded: live. nothing: no file, or none that was not loaded before. waiting: files are still being written. refused: the files are wrong.
 * failed: it could not be done now. stopped: the service was. busy: another process is at it. over: this time has been dealt with.
 */
export const outcomeSchema = z.object({
  state: z.enum(['loaded', 'nothing', 'waiting', 'refused', 'failed', 'stopped', 'busy', 'over']),
  /** A sentence, where it is not `loaded`. */
  reason: z.string().optional(),
  load: z.number().optional(),
  seconds: z.number(),
  rows: z.record(z.string(), z.number()),
  skipped: z.array(z.object({ dataset: z.string(), file: z.string(), reason: z.string() })),
});
export type Outcome = z.output<typeof outcomeSchema>;

export const loadMessageSchema = z.union([
  z.object({ kind: z.literal('alive') }),
  z.object({ kind: z.literal('step'), phase: z.string(), dataset: z.string().optional(), done: z.number(), total: z.number().optional(), rows: z.number().optional() }),
  z.object({ kind: z.literal('ended'), outcome: outcomeSchema }),
]);
export type LoadMessage = z.output<typeof loadMessageSchema>;
