import { z } from 'zod';
import { interactionTypes } from '../interactions.ts';
import { NAMES_OF_PROTOTYPES, isNestedDeeper, isStorable } from '../json-limits.ts';
import { defineOperation } from '../operation.ts';
import { skuSchema } from '../product.ts';

const service = 'event-ingest';
/** Bounds of events, stated in the answers that refuse them. */
export const EVENT_LIMITS = { items: 10_000, decodedBytes: 33_554_432, lineBytes: 65_536, metadataBytes: 2_048, metadataKeys: 20, metadataDepth: 5, aheadMs: 300_000 } as const;
/** Events from before are a wrong clock, not history. */
const OLDEST_MS = Date.UTC(2000, 0, 1);

const printable = (max: number) => z.string().min(1).max(max).regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, 'must be printable characters');

const DOTS = { error: 'must not be "." or "..": URLs have another meaning for these' };
const isNoDots = (id: string): boolean => id !== '.' && id !== '..';

/** A user as text: 123 and "123" are one. Anonymous ids begin with `anon:`. */
export const userIdSchema = z
  .union([z.int().nonnegative().transform(String), printable(200).refine((id) => id === id.trim(), { error: 'must not begin or end with a space' }).refine(isNoDots, DOTS)], { error: 'must be a whole number, or text of 1 to 200 characters' })
  .meta({ description: 'A whole number, or text of 1 to 200 printable characters; 123 and "123" are one user, anonymous ids begin with anon:', example: 123 });

const isForbiddenText = (value: unknown): boolean => typeof value === 'string' && !isStorable(value);

/** Has some object in it a name or a text that is not for storing? */
function hasForbidden(root: object): boolean {
  const open: object[] = [root];
  for (let next = open.pop(); next; next = open.pop()) {
    for (const [name, value] of Object.entries(next)) {
      if (NAMES_OF_PROTOTYPES.has(name) || !isStorable(name) || isForbiddenText(value)) return true;
      if (typeof value === 'object' && value !== null) open.push(value);
    }
  }
  return false;
}

/** Why this metadata is refused; undefined: it is not. */
function problemOfMetadata(root: object): string | undefined {
  if (Object.keys(root).length > EVENT_LIMITS.metadataKeys) return `has more than ${EVENT_LIMITS.metadataKeys} keys`;
  if (isNestedDeeper(root, EVENT_LIMITS.metadataDepth)) return `is nested deeper than ${EVENT_LIMITS.metadataDepth} levels`;
  if (Buffer.byteLength(JSON.stringify(root)) > EVENT_LIMITS.metadataBytes) return `is larger than ${EVENT_LIMITS.metadataBytes} bytes`;
  return hasForbidden(root) ? 'has a name or a character that cannot be stored (__proto__, constructor, prototype, NUL, half of a surrogate pair)' : undefined;
}

const isJsonObject = (value: unknown): value is Record<string, z.core.util.JSONType> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What JSON.parse gave, checked without being copied. */
const metadataSchema = z
  .unknown()
  .meta({ type: 'object', description: `At most ${EVENT_LIMITS.metadataKeys} keys and ${EVENT_LIMITS.metadataBytes} bytes of JSON; its timestamp counts where there is no other` })
  .transform((value, ctx) => {
    const problem = isJsonObject(value) ? problemOfMetadata(value) : 'must be an object';
    if (isJsonObject(value) && problem === undefined) return value;
    ctx.addIssue({ code: 'custom', message: problem ?? '' });
    return z.NEVER;
  });

/** ISO 8601 with an offset, or milliseconds since 1970. */
const timestampSchema = z.union([z.iso.datetime({ offset: true }), z.int()], { error: 'must be a time such as 2026-11-02T08:00:00Z, or milliseconds since 1970' });

const eventShape = z.strictObject({
  user_id: userIdSchema,
  asin: skuSchema,
  event_type: z.enum(interactionTypes),
  metadata: metadataSchema.optional(),
  event_id: z.string().regex(/^[\w.:-]{1,64}$/, 'must be 1 to 64 of the characters A-Z a-z 0-9 _ . : -').optional().meta({ description: 'The same id within an hour is one event; made up where it is missing' }),
  timestamp: timestampSchema.optional().meta({ description: 'When it happened: ISO 8601 with an offset, or milliseconds since 1970; default: now' }),
  session_id: printable(200).optional(),
  ranking_id: printable(64).optional().meta({ description: 'ranking_id of the list that the product was shown in' }),
  rating: z.number().min(1).max(5).optional().meta({ description: '1 to 5; required for rate, and only for it' }),
});

const timeProblem = (at: number): string | undefined => {
  if (!(at >= OLDEST_MS)) return 'must be after 1999';
  return at > Date.now() + EVENT_LIMITS.aheadMs ? 'must not be more than 5 minutes ahead of now' : undefined;
};

/** Body of POST /api/event, and each item of POST /api/events. `at`: when it happened, milliseconds; undefined: now. */
export const newEventSchema = eventShape
  .transform((event, ctx) => {
    const { timestamp, metadata = {}, ...rest } = event;
    const own = metadata['timestamp'];
    const given = timestamp ?? (own === undefined ? undefined : timestampSchema.safeParse(own).data);
    const path = timestamp === undefined ? ['metadata', 'timestamp'] : ['timestamp'];
    if (given === undefined && own !== undefined && own !== null) ctx.addIssue({ code: 'custom', path, message: 'must be a time such as 2026-11-02T08:00:00Z, or milliseconds since 1970' });
    const at = typeof given === 'string' ? Date.parse(given) : given;
    const problem = at === undefined ? undefined : timeProblem(at);
    if (problem !== undefined) ctx.addIssue({ code: 'custom', path, message: problem });
    if ((event.event_type === 'rate') !== (event.rating !== undefined)) ctx.addIssue({ code: 'custom', path: ['rating'], message: event.rating === undefined ? 'is required for rate' : 'is only for rate' });
    return { ...rest, metadata, at };
  })
  .meta({ id: 'NewEvent' });
export type NewEvent = z.output<typeof newEventSchema>;

const contextSchema = z.enum(['live', 'deferred']).meta({
  description: 'live: the next recommendation knows. deferred: stored, and not in the live context: Redis is away and gets it later, or the event is older than the context keeps',
});
export const loggedEventSchema = z.object({ success: z.literal(true), message: z.string(), event_id: z.string(), context: contextSchema }).meta({ id: 'LoggedEvent' });
export type LoggedEvent = z.output<typeof loggedEventSchema>;

const eventExample = { user_id: 123, asin: 'MR-0001', event_type: 'view', metadata: { page: 'detail' } };
const loggedExample = { success: true, message: 'Event logged: view', event_id: '0b9f6f0e-6d5b-4a3e-9f0e-3f1f4c8f6b1e', context: 'live' } satisfies LoggedEvent;

export const logEvent = defineOperation({
  operationId: 'logEvent', method: 'post', path: '/api/event', service, scope: 'events:write', summary: 'Log what a shopper did',
  description: 'The answer comes once the event is in the stream and in the live context, by one script. The same event_id within an hour is logged once.',
  body: newEventSchema, bodyExample: eventExample, isPublishable: true,
  responses: { 200: { description: 'Logged', schema: loggedEventSchema, example: loggedExample } },
});

const refusedItemSchema = z.object({ index: z.int(), success: z.literal(false), code: z.string(), pointer: z.string(), detail: z.string() });
const loggedItemSchema = z.object({ index: z.int(), success: z.literal(true), event_id: z.string(), context: contextSchema });
export const loggedEventsSchema = z
  .object({
    accepted: z.int(), failed: z.int(),
    results: z.array(z.discriminatedUnion('success', [loggedItemSchema, refusedItemSchema])).meta({ description: 'One for each item, in their order; index counts from 0' }),
  })
  .meta({ id: 'LoggedEvents' });
export type LoggedEvents = z.output<typeof loggedEventsSchema>;

export const logEvents = defineOperation({
  operationId: 'logEvents', method: 'post', path: '/api/events', service, scope: 'events:write', summary: 'Log many events', timeoutMs: 60_000, isPublishable: true,
  description: 'A JSON array, or NDJSON; gzip too. Up to 10,000 items, 32 MB decoded, 64 kB a line. One bad item fails alone.',
  streams: ['application/json', 'application/x-ndjson'],
  responses: {
    200: {
      description: 'One result for each item', schema: loggedEventsSchema,
      example: {
        accepted: 1, failed: 1,
        results: [
          { index: 0, success: true, event_id: loggedExample.event_id, context: 'live' },
          { index: 1, success: false, code: 'invalid_request', pointer: '/event_type', detail: 'must be view or click or add_to_cart or purchase or rate' },
        ],
      },
    },
  },
});

export const userParams = z.strictObject({ id: printable(200).refine(isNoDots, DOTS) });
export const userContextSchema = z
  .object({
    user_id: z.string().meta({ description: 'The id that counts: another one than asked for where that was merged' }),
    recent_items: z.array(z.object({ asin: z.string(), at: z.string() })).meta({ description: 'Newest first, each once, at most 20' }),
    recent_purchases: z.array(z.object({ asin: z.string(), at: z.string() })).meta({ description: 'The same of purchases' }),
    recent_categories: z.record(z.string(), z.int()).meta({ description: 'Events by category, at most 50 categories' }),
    last_active: z.string().nullable().meta({ description: 'null: nothing is known of the last minutes' }),
  })
  .meta({ id: 'UserContext' });
export type UserContextBody = z.output<typeof userContextSchema>;

const at = '2026-11-02T08:00:00.000Z';
export const getUserContext = defineOperation({
  operationId: 'getUserContext', method: 'get', path: '/api/users/{id}/context', service, scope: 'events:read', summary: 'What a shopper did in the last minutes',
  description: 'Empty for a user of whom nothing is known: the context ends CONTEXT_TTL_SECONDS after the last event.', params: userParams,
  responses: {
    200: {
      description: 'The live context', schema: userContextSchema,
      example: { user_id: '123', recent_items: [{ asin: 'MR-0001', at }], recent_purchases: [], recent_categories: { Audio: 1 }, last_active: at },
    },
  },
});

export const mergeUser = defineOperation({
  operationId: 'mergeUser', method: 'post', path: '/api/users/{id}/merge', service, scope: 'events:write', summary: 'Merge another id, such as an anonymous one, into this user',
  description: 'The context and the log of `from` become this user\'s; later events of `from` go to this user. Safe to repeat.', audited: true, isPersonal: true,
  params: userParams, body: z.strictObject({ from: userIdSchema }), bodyExample: { from: 'anon:5f1c' },
  responses: { 200: { description: 'Merged, now or before', schema: z.object({ user_id: z.string(), from: z.string(), moved: z.int().meta({ description: 'Rows of the log that were moved now' }) }), example: { user_id: '123', from: 'anon:5f1c', moved: 7 } } },
});

export const eventOperations = [logEvent, logEvents, getUserContext, mergeUser] as const;
