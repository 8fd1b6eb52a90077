import { workspaceIdSchema } from '@millrace/contracts';
import { AppError, readInternalKey, readInternalKeySet } from '@millrace/service';
import { SignJWT, decodeJwt, jwtVerify } from 'jose';
import type { JWTPayload } from 'jose';
import { z } from 'zod';
import type { KeyMemory } from '../key-cache.ts';
import { createKeyCache } from '../key-cache.ts';
import type { KeyOwner } from '../key.repository.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import { refusedToken } from './token-claims.ts';

/** Issuer and audience: gateways sign for gateways. A service's internal token has the service as its audience, a person's token the identity provider as its issuer. */
const GATEWAY = 'gateway';
/** Says what the token is for, so that no other token of the same key is taken for it (RFC 8725, 3.11). */
const TYPE = 'delegated+jwt';
const TOKEN_SECONDS = 60;
const MAX_CHARACTERS = 8_192;
const MAX_CLIENT_NAME = 100;

/** Where the service `mcp` finds the token for its own calls. */
export const GATEWAY_TOKEN_HEADER = 'x-millrace-gateway-token';

export interface DelegateOptions {
  /** The program that the caller calls with; cut to 100 printable ASCII characters. */
  readonly clientName?: string | undefined;
}

/**
 * A token with which somebody inside of the installation calls the gateway in the name of `owner`, for a minute and never longer than the owner could
 * themselves. A token made for the owner of such a token ends with that one, so that it cannot be prolonged. @throws forbidden for a publishable key
 */
export type Delegate = (owner: KeyOwner, options?: DelegateOptions) => Promise<string>;

const clean = (name: string): string => name.replaceAll(/[^\x20-\x7E]/g, '').trim().slice(0, MAX_CLIENT_NAME);

/** A token is handed on again for so long: two thirds of its life are left then. Signing and checking one costs more than the rest of a call. */
const REUSE_MS = 20_000;
const CACHE_ENTRIES = 5_000;

/** Drops the oldest entry where the map is full. */
function remember<V>(cache: Map<string, V>, key: string, value: V): V {
  const oldest = cache.size >= CACHE_ENTRIES ? cache.keys().next().value : undefined;
  if (oldest !== undefined) cache.delete(oldest);
  cache.set(key, value);
  return value;
}

/** `keyFile`: the gateways' own private key. */
export async function openDelegate(keyFile: string, now: () => number = Date.now): Promise<Delegate> {
  const { kid, key } = await readInternalKey(keyFile);
  const reusable = new Map<string, { readonly token: Promise<string>; readonly untilMs: number }>();
  const sign = (owner: KeyOwner, client: string): Promise<string> => {
    const nowMs = now();
    const endsAtMs = Math.min(nowMs + TOKEN_SECONDS * 1_000, owner.expiresAtMs ?? Infinity);
    return new SignJWT({ kind: owner.kind, scope: owner.scopes.join(' '), workspace_id: owner.workspaceId, is_development: owner.isDevelopment, ...(client !== '' && { client }) })
      .setProtectedHeader({ alg: 'EdDSA', kid, typ: TYPE })
      .setIssuer(GATEWAY).setAudience(GATEWAY).setSubject(owner.id).setIssuedAt(Math.floor(nowMs / 1_000)).setExpirationTime(Math.floor(endsAtMs / 1_000))
      .sign(key);
  };
  return async (owner, { clientName = owner.clientName } = {}) => {
    if (owner.kind === 'publishable') throw new AppError('forbidden', 'a publishable key is for events of pages: nobody acts for it');
    const client = clientName === undefined ? '' : clean(clientName);
    // What ends soon is made anew each time: how long it lasts is part of it.
    if (owner.expiresAtMs !== undefined && owner.expiresAtMs < now() + TOKEN_SECONDS * 1_000 + REUSE_MS) return await sign(owner, client);
    const name = JSON.stringify([owner.id, owner.workspaceId, owner.kind, owner.isDevelopment, owner.scopes, client]);
    const known = reusable.get(name);
    if (known && known.untilMs > now()) return await known.token;
    reusable.delete(name);
    return await remember(reusable, name, { token: sign(owner, client), untilMs: now() + REUSE_MS }).token;
  };
}

const claimsSchema = z.object({
  sub: z.string().min(1).max(300), aud: z.literal(GATEWAY), exp: z.number(), workspace_id: workspaceIdSchema, kind: z.enum(['secret', 'user']), scope: z.string(), is_development: z.boolean(), client: z.string().optional(),
});
type Claims = z.output<typeof claimsSchema>;

export interface AuthenticateDelegatedDeps {
  /** Public keys of all services. */
  readonly jwksFile: string;
  readonly findKeyOwnerById: (id: string) => Promise<KeyOwner | undefined>;
  /** Under NODE_ENV=production development keys are refused. */
  readonly isProduction: boolean;
  readonly onUsed?: (keyId: string) => void;
  readonly now?: () => number;
}

/** Does it call itself a token of a gateway? Decides only who checks it. */
export function isDelegated(token: string): boolean {
  if (token.length > MAX_CHARACTERS) return false;
  try {
    return decodeJwt(token).iss === GATEWAY;
  } catch {
    // No JWT at all: whoever checks the others says so.
    return false;
  }
}

const ENDED = 'this handed-on token is not valid, or not any more';

const asUser = ({ sub, workspace_id: workspaceId, scope, exp }: Claims): KeyOwner => ({ id: sub, kind: 'user', workspaceId, scopes: scope.split(' ').filter(Boolean), isDevelopment: false, expiresAtMs: exp * 1_000 });

/**
 * Callers by a token of `Delegate`. Of a key what it may do now counts, too: its owner is looked up by id and remembered like those of secrets, so that one
 * that is revoked, expired or changed ends its tokens at once. A person's roles are not known here: their token counts for its minute.
 * @throws unauthenticated, and unavailable where a key that is not remembered cannot be looked up
 */
export async function openAuthenticateDelegated({ jwksFile, findKeyOwnerById, isProduction, onUsed = () => undefined, now = Date.now }: AuthenticateDelegatedDeps): Promise<AuthenticateToken & KeyMemory> {
  const keyOf = await readInternalKeySet(jwksFile);
  const owners = createKeyCache(findKeyOwnerById, now);
  const verified = new Map<string, JWTPayload>();
  /** A signature is looked at once: what is in a token and when it ends does not change. Whether its key still counts is asked each time. */
  const verify = async (token: string): Promise<JWTPayload> => {
    const known = verified.get(token);
    if (known && (known.exp ?? 0) * 1_000 > now()) return known;
    verified.delete(token);
    return remember(verified, token, await check(token));
  };
  const check = async (token: string): Promise<JWTPayload> => {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, keyOf, { issuer: GATEWAY, audience: GATEWAY, typ: TYPE, algorithms: ['EdDSA'], requiredClaims: ['exp', 'sub'], currentDate: new Date(now()) });
      // Every service has a key of this set: only a gateway's speaks for callers.
      if (protectedHeader.kid !== GATEWAY) throw new Error('signed by another service');
      return payload;
    } catch (error) {
      throw refusedToken(ENDED, error);
    }
  };
  const asKey = async ({ sub, workspace_id: workspaceId, scope, exp }: Claims): Promise<KeyOwner> => {
    const { owner } = await owners.find(sub);
    const isOver = owner?.expiresAtMs !== undefined && owner.expiresAtMs <= now();
    if (!owner || isOver || owner.kind !== 'secret' || owner.workspaceId !== workspaceId || (owner.isDevelopment && isProduction)) throw refusedToken('the key that this handed-on token was made for does not count any more');
    onUsed(owner.id);
    const handedOn = new Set(scope.split(' '));
    return { ...owner, scopes: owner.scopes.filter((one) => handedOn.has(one)), expiresAtMs: Math.min(exp * 1_000, owner.expiresAtMs ?? Infinity) };
  };
  const authenticate: AuthenticateToken = async (token) => {
    const claims = claimsSchema.safeParse(await verify(token));
    if (!claims.success || (claims.data.kind === 'user') !== claims.data.sub.startsWith('user:')) throw refusedToken(ENDED);
    const { client } = claims.data;
    return { ...(claims.data.kind === 'user' ? asUser(claims.data) : await asKey(claims.data)), isDelegated: true, ...(client !== undefined && { clientName: client }) };
  };
  return Object.assign(authenticate, { forget: (keyIds: ReadonlySet<string>) => owners.forget(keyIds), forgetAll: () => owners.forgetAll() });
}
