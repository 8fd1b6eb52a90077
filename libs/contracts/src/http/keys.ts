import { z } from 'zod';
import { interactionTypes } from '../interactions.ts';
import { NOT_STORABLE, isStorable } from '../json-limits.ts';
import { defineOperation, scopes } from '../operation.ts';
import { roleNames } from '../roles.ts';
import { pageSchema } from './products.ts';

const common = { service: 'gateway', scope: 'admin' } as const;
/** Postgres knows no year 0 and no zone that is 16 hours away. */
const isKnownTime = (text: string): boolean => !/^0000|[+-](?:1[6-9]|2\d):\d\d$/.test(text);
const TIME = { error: 'must be an ISO 8601 time such as 2026-11-02T08:00:00Z' };
const time = z.iso.datetime({ offset: true, ...TIME }).refine(isKnownTime, TIME);
/** Where a page of keys or of the audit log ended. */
export const pagedTimeSchema = z.iso.datetime().refine(isKnownTime);

export const DEFAULT_WORKSPACE = 'default';
/** How long the old secret of a rotated key works where nothing else is said. */
export const ROTATION_OVERLAP_SECONDS = 86_400;
const MAX_OVERLAP_SECONDS = 2_592_000;

export const workspaceIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit')
  .meta({ description: 'The team or tenant that the key belongs to', example: DEFAULT_WORKSPACE });

const isOrigin = (text: string): boolean => {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && !/[*,\s]/.test(text) && url.origin === text;
};
export const originSchema = z.string().max(300).refine(isOrigin, { error: 'must be an origin as a browser sends it: scheme and host, such as https://shop.example' });

/** Neither control characters nor those that turn the direction of what stands beside: names are shown in terminals. */
const NAME = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]*$/u;
export const keyNameSchema = z.string().trim().min(1).max(200).regex(NAME, 'must hold no control characters').meta({ description: 'What it is for', example: 'shop' });
const scopeList = z.array(z.enum(scopes)).min(1).max(scopes.length).meta({ description: 'What the key may do: only what the caller may do, too' });
const isLater = (text: string): boolean => Date.parse(text) > Date.now();
const expiry = time.refine(isLater, { error: 'must be in the future' }).meta({ description: 'The key works until then', example: '2027-11-02T08:00:00Z' });
/** Made by the gateway or the command line. */
export const keyIdSchema = z.string().regex(/^key_[\w-]{1,100}$/, 'must be the id of a key as a listing shows it').meta({ description: 'Id of the key, not the key', example: 'key_7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11' });
const params = z.strictObject({ id: keyIdSchema });

export const apiKeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(['secret', 'publishable']),
    state: z.enum(['active', 'development', 'expired', 'revoked']),
    workspace_id: z.string(),
    scopes: z.array(z.string()),
    origins: z.array(z.string()).nullable().meta({ description: 'Of publishable keys: the pages that may use it' }),
    event_types: z.array(z.string()).nullable().meta({ description: 'Of publishable keys: what they may send' }),
    created_at: z.string(),
    created_by: z.string().nullable().meta({ description: 'Id of the key or `user:<sub>` that made it; null: the command line' }),
    expires_at: z.string().nullable(),
    revoked_at: z.string().nullable(),
    rotated_at: z.string().nullable(),
    old_secret_until: z.string().nullable().meta({ description: 'A secret from before a rotation works until then; null: only the newest works' }),
    last_used_at: z.string().nullable().meta({ description: 'Written every few seconds; null: never' }),
  })
  .meta({ id: 'ApiKey' });
export type ApiKeyBody = z.output<typeof apiKeySchema>;
const withSecret = apiKeySchema.extend({ key: z.string().meta({ description: 'The secret. Shown this once: only its hash is kept' }) }).meta({ id: 'ApiKeyWithSecret' });

const example: ApiKeyBody = {
  id: 'key_7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11', name: 'shop', kind: 'secret', state: 'active', workspace_id: DEFAULT_WORKSPACE, scopes: ['products:read', 'search:read'], origins: null, event_types: null,
  created_at: '2026-11-02T08:00:00.000000Z', created_by: 'user:5b1f', expires_at: '2027-11-02T08:00:00.000000Z', revoked_at: null, rotated_at: null, old_secret_until: null, last_used_at: '2026-11-02T09:00:00.000000Z',
};
const secretExample = { ...example, last_used_at: null, key: 'mr_…' };

export const newKeySchema = z
  .strictObject({
    name: keyNameSchema,
    scopes: scopeList.optional(),
    roles: z.array(z.enum(roleNames)).min(1).max(roleNames.length).optional().meta({ description: 'Instead of scopes: those of these roles as they are now' }),
    publishable: z
      .strictObject({ origins: z.array(originSchema).min(1).max(50), event_types: z.array(z.enum(interactionTypes)).min(1).max(interactionTypes.length).optional() })
      .optional()
      .meta({ description: 'Instead of scopes: a key for pages of these origins, which sends events and nothing else' }),
    workspace_id: workspaceIdSchema.optional().meta({ description: "Default: the caller's, and no other is possible" }),
    expires_at: expiry.optional(),
  })
  .refine((body) => [body.scopes, body.roles, body.publishable].filter((one) => one !== undefined).length === 1, { error: 'must have exactly one of scopes, roles and publishable' })
  .meta({ id: 'NewApiKey' });
export type NewKeyBody = z.output<typeof newKeySchema>;

const noSecretKept = 'The answer holds the secret and says `Cache-Control: no-store`: it is shown this once.';

export const listKeys = defineOperation({
  ...common, operationId: 'listKeys', method: 'get', path: '/api/admin/keys', summary: "List API keys of the caller's workspace, without their secrets",
  query: z.strictObject({ limit: z.coerce.number().int().min(1).max(200).default(50), cursor: z.string().min(1).max(1_000).optional().meta({ description: 'page.next of the answer before' }) }),
  responses: { 200: { description: 'One page, oldest first', schema: z.object({ data: z.array(apiKeySchema), page: pageSchema }), example: { data: [example], page: { next: null, limit: 50 } } } },
});
export const createKey = defineOperation({
  ...common, operationId: 'createKey', method: 'post', path: '/api/admin/keys', audited: true, notDelegable: true, holdsSecret: true, summary: 'Make an API key', description: `Nobody gives scopes or a workspace that they do not have themselves. ${noSecretKept}`,
  body: newKeySchema, bodyExample: { name: 'shop', scopes: ['products:read', 'search:read'], expires_at: '2027-11-02T08:00:00Z' },
  responses: { 201: { description: 'Made', schema: withSecret, example: secretExample } },
});
export const getKey = defineOperation({
  ...common, operationId: 'getKey', method: 'get', path: '/api/admin/keys/{id}', summary: 'Read an API key, without its secret', params,
  responses: { 200: { description: 'The key', schema: apiKeySchema, example } },
});
export const changeKey = defineOperation({
  ...common, operationId: 'changeKey', method: 'patch', path: '/api/admin/keys/{id}', audited: true, notDelegable: true, summary: 'Change the name, the expiry or the scopes of an API key', params,
  description: 'What is left out stays. A key that may do more than the caller can only be revoked.',
  body: z.strictObject({ name: keyNameSchema.optional(), expires_at: expiry.nullable().optional().meta({ description: 'null: it does not expire' }), scopes: scopeList.optional() }).refine((body) => Object.values(body).some((value) => value !== undefined), { error: 'must have name, expires_at or scopes' }),
  bodyExample: { expires_at: '2027-11-02T08:00:00Z' },
  responses: { 200: { description: 'The key as it is now', schema: apiKeySchema, example } },
});
export const rotateKey = defineOperation({
  ...common, operationId: 'rotateKey', method: 'post', path: '/api/admin/keys/{id}/rotate', audited: true, notDelegable: true, holdsSecret: true, summary: 'Give an API key a new secret', params,
  description: `Secrets from before go on working for \`overlap_seconds\` at most; 0 ends them at once. A key that may do more than the caller is refused. ${noSecretKept}`,
  body: z.strictObject({ overlap_seconds: z.int().min(0).max(MAX_OVERLAP_SECONDS).default(ROTATION_OVERLAP_SECONDS).meta({ description: 'How long older secrets still work' }) }), bodyExample: { overlap_seconds: ROTATION_OVERLAP_SECONDS },
  responses: { 200: { description: 'The key with its new secret', schema: withSecret, example: { ...secretExample, rotated_at: '2026-11-02T09:00:00.000000Z', old_secret_until: '2026-11-03T09:00:00.000000Z' } } },
});
export const revokeKey = defineOperation({
  ...common, operationId: 'revokeKey', method: 'delete', path: '/api/admin/keys/{id}', audited: true, notDelegable: true, summary: 'Refuse an API key from now on', params,
  description: 'For good, with all its secrets. Every gateway hears of it at once; with Redis away within 30 s. Safe to repeat.',
  responses: { 204: { description: 'Revoked' } },
});
export const keyOperations = [listKeys, createKey, getKey, changeKey, rotateKey, revokeKey] as const;

export const auditEntrySchema = z
  .object({
    id: z.int(),
    at: z.string(),
    workspace_id: z.string(),
    key_id: z.string().meta({ description: 'Who called: id of a key, or `user:<sub>`' }),
    operation: z.string(),
    method: z.string(),
    path: z.string(),
    status: z.int().meta({ description: 'Of the answer; 499: the caller went before there was one' }),
    request_id: z.string(),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntryBody = z.output<typeof auditEntrySchema>;

export const listAudit = defineOperation({
  ...common, operationId: 'listAudit', method: 'get', path: '/api/admin/audit', audited: true, summary: "Who did what: the audit log of the caller's workspace",
  query: z
    .strictObject({
      since: time.optional().meta({ description: 'At this time or later', example: '2026-11-02T08:00:00Z' }),
      until: time.optional().meta({ description: 'Before this time', example: '2026-11-02T09:00:00Z' }),
      key_id: z.string().min(1).max(300).refine(isStorable, NOT_STORABLE).optional().meta({ description: 'Who called, whole' }),
      operation: z.string().min(1).max(100).refine(isStorable, NOT_STORABLE).optional().meta({ description: 'An operationId', example: 'revokeKey' }),
      status: z.string().regex(/^[1-5](?:\d\d|xx)$/, 'must be a status such as 403, or a class such as 4xx').optional(),
      limit: z.coerce.number().int().min(1).max(200).default(50),
      cursor: z.string().min(1).max(1_000).optional().meta({ description: 'page.next of the answer before' }),
    })
    .refine(({ since, until }) => since === undefined || until === undefined || Date.parse(since) < Date.parse(until), { path: ['until'], error: 'must be later than since' }),
  responses: {
    200: {
      description: 'One page, newest first', schema: z.object({ data: z.array(auditEntrySchema), page: pageSchema }),
      example: { data: [{ id: 1204, at: '2026-11-02T08:00:00.000000Z', workspace_id: DEFAULT_WORKSPACE, key_id: 'user:5b1f', operation: 'revokeKey', method: 'DELETE', path: '/api/admin/keys/key_7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11', status: 204, request_id: '5f0c' }], page: { next: null, limit: 50 } },
    },
  },
});
export const auditOperations = [listAudit] as const;
