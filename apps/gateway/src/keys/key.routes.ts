import { DEFAULT_WORKSPACE, changeKey, createKey, defaultPublishableTypes, getKey, keyIdSchema, listKeys, pagedTimeSchema, revokeKey, rotateKey, scopesOfRoles } from '@millrace/contracts';
import type { ApiKeyBody, NewKeyBody } from '@millrace/contracts';
import { decodeCursor, encodeCursor, ok } from '@millrace/http';
import { AppError, createApiKey, createPublishableKey, hashApiKey, notFound } from '@millrace/service';
import type { ErrorDetail, Identity } from '@millrace/service';
import { z } from 'zod';
import type { GatewayDb } from '../database.ts';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';
import * as keys from './managed-key.repository.ts';

const cursorSchema = z.tuple([pagedTimeSchema, keyIdSchema]);
const workspaceOf = ({ workspaceId = DEFAULT_WORKSPACE }: Identity): string => workspaceId;
/** Answers with a secret are kept by nobody on their way. */
const SECRET = { 'Cache-Control': 'no-store' };

/** @throws forbidden: nobody gives what they do not have, and a new secret of a mightier key would be just that */
function checkGives({ scopes }: Identity, wanted: readonly string[], place: Omit<ErrorDetail, 'detail'>): void {
  const missing = wanted.filter((scope) => !scopes.includes(scope));
  if (missing.length > 0) throw new AppError('forbidden', `you cannot give what you do not have: ${missing.join(', ')}`, { details: [{ ...place, detail: `needs ${missing.join(', ')}` }] });
}
const KEY_ID = { in: 'path', pointer: '/id' } as const;

function checkWorkspace(identity: Identity, wanted: string | undefined): string {
  const own = workspaceOf(identity);
  if (wanted !== undefined && wanted !== own) throw new AppError('forbidden', 'keys are made in your own workspace only', { details: [{ in: 'body', pointer: '/workspace_id', detail: `must be ${own}` }] });
  return own;
}

const scopesWanted = ({ scopes, roles, publishable }: NewKeyBody): { readonly scopes: readonly string[]; readonly pointer: string } =>
  publishable ? { scopes: ['events:write'], pointer: '/publishable' } : roles ? { scopes: scopesOfRoles(roles), pointer: '/roles' } : { scopes: [...new Set(scopes)], pointer: '/scopes' };

/** What cannot be changed any more, or not by anybody. */
function checkChangeable({ state, kind }: ApiKeyBody, changesScopes = false): void {
  if (state === 'revoked') throw new AppError('conflict', 'the key is revoked: make a new one');
  if (state === 'development') throw new AppError('conflict', 'a development key belongs to npm start: it can only be revoked');
  if (changesScopes && kind === 'publishable') throw new AppError('conflict', 'a publishable key sends events and nothing else: its scopes cannot be changed', { details: [{ in: 'body', pointer: '/scopes', detail: 'cannot be changed' }] });
}

/** `/api/admin/keys`: keys of the caller's workspace; those of another one do not exist here. */
export function keyRoutes(db: GatewayDb): LocalRoutes {
  const get = async (identity: Identity, id: string): Promise<ApiKeyBody> => {
    const found = await keys.findKey(db, workspaceOf(identity), id);
    if (!found) throw notFound(`key ${id}`);
    return found;
  };
  return {
    ...localRoute(listKeys, async ({ identity, query: { limit, cursor } }) => {
      const [createdAt, id] = cursor === undefined ? [] : decodeCursor(cursorSchema, cursor);
      const found = await keys.listKeys(db, workspaceOf(identity), { limit: limit + 1, after: createdAt === undefined || id === undefined ? undefined : { createdAt, id } });
      const data = found.slice(0, limit);
      const last = data.at(-1);
      return ok({ data, page: { next: found.length > limit && last ? encodeCursor([last.created_at, last.id]) : null, limit } });
    }),
    ...localRoute(createKey, async ({ identity, body }) => {
      const { scopes, pointer } = scopesWanted(body);
      checkGives(identity, scopes, { in: 'body', pointer });
      const { name, publishable, expires_at: expiresAt } = body;
      const key = publishable ? createPublishableKey() : createApiKey();
      const pages = publishable && { origins: publishable.origins, eventTypes: publishable.event_types ?? defaultPublishableTypes };
      const id = await keys.insertKey(db, { name, hash: hashApiKey(key), scopes, workspaceId: checkWorkspace(identity, body.workspace_id), createdBy: identity.subject, expiresAt, ...(pages && { pages }) });
      return { status: 201, body: { ...(await get(identity, id)), key }, headers: { ...SECRET, Location: `/api/admin/keys/${id}` } };
    }),
    ...localRoute(getKey, async ({ identity, params: { id } }) => ok(await get(identity, id))),
    ...localRoute(changeKey, async ({ identity, params: { id }, body: { name, expires_at: expiresAt, scopes } }) => {
      await db.transaction().execute(async (trx) => {
        const found = await keys.lockKey(trx, workspaceOf(identity), id);
        if (!found) throw notFound(`key ${id}`);
        checkChangeable(found, scopes !== undefined);
        checkGives(identity, found.scopes, KEY_ID);
        checkGives(identity, scopes ?? [], { in: 'body', pointer: '/scopes' });
        await keys.updateKey(trx, id, { ...(name !== undefined && { name }), ...(expiresAt !== undefined && { expires_at: expiresAt }), ...(scopes && { scopes: [...new Set(scopes)] }) });
      });
      return ok(await get(identity, id));
    }),
    ...localRoute(rotateKey, async ({ identity, params: { id }, body: { overlap_seconds: overlapSeconds } }) => {
      const key = await db.transaction().execute(async (trx) => {
        const found = await keys.lockKey(trx, workspaceOf(identity), id);
        if (!found) throw notFound(`key ${id}`);
        checkChangeable(found);
        checkGives(identity, found.scopes, KEY_ID);
        const secret = found.kind === 'publishable' ? createPublishableKey() : createApiKey();
        if (!(await keys.rotateKey(trx, id, { hash: hashApiKey(secret), overlapSeconds }))) throw new AppError('conflict', 'the key has expired: give it another expiry first');
        return secret;
      });
      return ok({ ...(await get(identity, id)), key }, SECRET);
    }),
    ...localRoute(revokeKey, async ({ identity, params: { id } }) => {
      if (!(await keys.revokeKey(db, workspaceOf(identity), id))) throw notFound(`key ${id}`);
      return { status: 204 };
    }),
  };
}
