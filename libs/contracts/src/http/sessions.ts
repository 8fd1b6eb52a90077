import { z } from 'zod';
import { problemOfJson } from '../json-limits.ts';
import { jsonSchema } from '../json-schema.ts';
import { defineOperation } from '../operation.ts';

/** What one session, one owner and one page may hold. */
export const SESSION_LIMITS = { bytes: 262_144, messages: 1_000, sessions: 100, page: 200 } as const;

const common = { service: 'gateway', scope: 'sessions' } as const;
const path = '/api/sessions/{id}';
const params = z.strictObject({ id: z.uuid() });
const user = { 'x-user-id': z.string().min(1).max(200).regex(/^[\x21-\x7e]+$/, 'must be of visible ASCII characters').meta({ description: "The shop's id of its user: a session belongs to this user and to the key", example: 'customer-81' }) };
const headers = z.object(user);
const ifMatch = { 'if-match': z.string().max(1_000).optional().meta({ description: 'ETag of the session as it was read, or *' }) };
const title = z.string().trim().max(200).default('').meta({ example: 'Headphones for running' });
type JsonObject = Record<string, z.core.util.JSONType>;
const isJsonObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
/** What JSON.parse gave, checked without recursion and without being copied. */
const jsonObject = (meta: { readonly description: string; readonly example?: unknown }) =>
  z.unknown().meta({ type: 'object', ...meta }).transform((value, ctx) => {
    const problem = isJsonObject(value) ? problemOfJson(value) : 'must be an object';
    if (isJsonObject(value) && problem === undefined) return value;
    ctx.addIssue({ code: 'custom', message: problem ?? '' });
    return z.NEVER;
  });
const plan = jsonObject({ description: 'State of the caller: any JSON object of at most 20 levels', example: { step: 'compare' } }).default({});

export const sessionSchema = z
  .object({
    id: z.uuid(),
    version: z.int().positive().meta({ description: 'Grows with every change, messages too' }),
    messages: z.int().nonnegative(),
    bytes: z.int().nonnegative().meta({ description: `Of title, plan and messages; at most ${SESSION_LIMITS.bytes}` }),
    created_at: z.string(), updated_at: z.string(),
    expires_at: z.string().meta({ description: 'Moves on with each use' }),
  })
  .meta({ id: 'Session' });
export type Session = z.output<typeof sessionSchema>;

export const wholeSessionSchema = sessionSchema.extend({ title: z.string(), plan: z.record(z.string(), jsonSchema) }).meta({ id: 'WholeSession' });
export type WholeSession = z.output<typeof wholeSessionSchema>;

const newMessageSchema = z.strictObject({
  role: z.enum(['user', 'assistant', 'system', 'tool']),
  content: z.string().min(1).max(65_536),
  data: jsonObject({ description: 'Such as the calls of a tool: any JSON object of at most 20 levels' }).optional(),
});
export const sessionMessageSchema = newMessageSchema.extend({ data: z.record(z.string(), jsonSchema).optional(), seq: z.int().positive().meta({ description: 'Place in the session, from 1' }), at: z.string() }).meta({ id: 'SessionMessage' });
export type SessionMessage = z.output<typeof sessionMessageSchema>;

const example: Session = { id: '5b1d6b56-6a9e-4a53-8f0c-2d9a6a4f1c11', version: 1, messages: 0, bytes: 18, created_at: '2026-11-02T08:00:00.000Z', updated_at: '2026-11-02T08:00:00.000Z', expires_at: '2026-11-03T08:00:00.000Z' };
const state = z.strictObject({ title, plan });

export const createSession = defineOperation({
  ...common, operationId: 'createSession', method: 'post', path: '/api/sessions', summary: 'Begin a conversation', headers, body: state, bodyExample: { title: 'Headphones for running', plan: { step: 'compare' } },
  responses: { 201: { description: 'It is there, and ends by itself when it is not used', schema: sessionSchema, example } },
});
export const listSessions = defineOperation({
  ...common, operationId: 'listSessions', method: 'get', path: '/api/sessions', summary: 'Conversations of a user under this key', headers, query: z.strictObject({}),
  responses: { 200: { description: 'The one that ends last first', schema: z.object({ data: z.array(sessionSchema) }), example: { data: [example] } } },
});
export const getSession = defineOperation({
  ...common, operationId: 'getSession', method: 'get', path, summary: 'Read a conversation with its plan', params, headers,
  responses: { 200: { description: 'With an ETag', schema: wholeSessionSchema, example: { ...example, title: 'Headphones for running', plan: { step: 'compare' } } } },
});
export const replaceSession = defineOperation({
  ...common, operationId: 'replaceSession', method: 'put', path, summary: 'Replace title and plan of a conversation', params, headers: z.object({ ...user, ...ifMatch }), body: state, bodyExample: { plan: { step: 'buy' } },
  responses: { 200: { description: 'As it is now', schema: sessionSchema, example: { ...example, version: 2 } } },
});
export const deleteSession = defineOperation({
  ...common, operationId: 'deleteSession', method: 'delete', path, summary: 'Revoke a conversation: it is removed with its messages', params, headers, responses: { 204: { description: 'Removed' } },
});
export const appendSessionMessage = defineOperation({
  ...common, operationId: 'appendSessionMessage', method: 'post', path: `${path}/messages`, summary: 'Append a message to a conversation', params, headers: z.object({ ...user, ...ifMatch }),
  description: 'With If-Match only where the conversation is as it was read; without, in the order of arrival.', body: newMessageSchema, bodyExample: { role: 'user', content: 'Which of them are waterproof?' },
  responses: { 201: { description: 'Appended; `messages` is its seq', schema: sessionSchema, example: { ...example, version: 2, messages: 1, bytes: 96 } } },
});
export const listSessionMessages = defineOperation({
  ...common, operationId: 'listSessionMessages', method: 'get', path: `${path}/messages`, summary: 'Messages of a conversation, the oldest first', params, headers,
  query: z.strictObject({ after: z.coerce.number().int().min(0).max(SESSION_LIMITS.messages).default(0).meta({ description: 'seq of the last one that you have' }), limit: z.coerce.number().int().min(1).max(SESSION_LIMITS.page).default(50) }),
  responses: { 200: { description: 'Messages by seq', schema: z.object({ data: z.array(sessionMessageSchema) }), example: { data: [{ seq: 1, at: example.created_at, role: 'user', content: 'Which of them are waterproof?' }] } } },
});

export const sessionOperations = [createSession, listSessions, getSession, replaceSession, deleteSession, appendSessionMessage, listSessionMessages] as const;
