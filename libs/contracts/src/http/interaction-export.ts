import { z } from 'zod';
import { interactionTypes } from '../interactions.ts';

/** Stream -> id of an entry: `{"interactions": "1763764800000-0"}`, as JSON text. */
const streamEnds = z.string().max(20_000).transform((text, ctx): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    ctx.addIssue({ code: 'custom', message: 'must be JSON: a stream id for each stream' });
    return z.NEVER;
  }
}).pipe(z.record(z.string().max(200), z.string().regex(/^\d{1,20}-\d{1,20}$/)));

/** `GET /internal/interactions/export` of event-ingest. */
export const interactionExportQuery = z.strictObject({
  /** Cursor: the `after` of a page line before. */
  after: z.string().max(2_000).optional(),
  /** The answer begins once everything up to these entries is in the log; 503 where that takes too long. */
  until: streamEnds.optional(),
  limit: z.coerce.number().int().min(1).max(1_000_000_000).optional(),
});

/**
 * One NDJSON line, in one snapshot of the log: events by user (backwards by its bytes), and by time for each user. `deferred`: the event has not been in the stream
 * for sure, and is on its way there. `page`: a cursor behind all lines before it. `end`: the answer is whole; without it, it broke off.
 */
export const interactionExportLineSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('interaction'), event_id: z.string(), user_id: z.string(), asin: z.string(), event_type: z.enum(interactionTypes), ts: z.iso.datetime(),
    category: z.string().nullable(), rating: z.number().optional(), deferred: z.literal(true).optional(),
  }),
  z.object({ type: z.literal('page'), after: z.string() }),
  z.object({ type: z.literal('end'), rows: z.int(), complete: z.boolean() }),
]);
export type InteractionExportLine = z.output<typeof interactionExportLineSchema>;
export type ExportedInteraction = Extract<InteractionExportLine, { type: 'interaction' }>;
