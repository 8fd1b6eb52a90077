import { createHash } from 'node:crypto';
import { AppError } from '@millrace/service';
import { jwtVerify } from 'jose';
import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import type { KeyOwner } from '../key.repository.ts';
import { ownerOf, refusedToken } from './token-claims.ts';
import type { ClaimNames } from './token-claims.ts';

/** Who sent this bearer token. @throws unauthenticated */
export type AuthenticateToken = (token: string) => Promise<KeyOwner>;

export interface AuthenticateTokenDeps {
  readonly keyOf: JWTVerifyGetKey;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: ClaimNames;
  readonly now?: () => number;
}

/** Signatures by a private key only: with `none` and HMAC whoever knows the public key could sign. Twice the names of Ed25519: RFC 8037 and RFC 9864. */
export const tokenAlgorithms = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'];
/** Access tokens (RFC 9068), and JWTs that do not say what they are for; not those for logging out, for events, or proofs of possession. */
const TYPES = new Set(['jwt', 'at+jwt', 'application/at+jwt']);
const TOLERANCE_SECONDS = 30;
const MAX_CHARACTERS = 8_192;
const KNOWN_FOR_MS = 60_000;

/**
 * Callers by JWT (RFC 7519): signature by a key of the issuer with an asymmetric algorithm, iss, aud, exp and nbf (clocks may differ by 30 s), typ. A verified token
 * is remembered by its SHA-256 until it expires and a minute at most, so that keys that the issuer withdraws count.
 */
export function createAuthenticateToken({ keyOf, issuer, audience, claims, now = Date.now }: AuthenticateTokenDeps): AuthenticateToken {
  const verified = new LRUCache<string, KeyOwner>({ max: 10_000 });
  const verify = async (token: string): Promise<JWTPayload> => {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, keyOf, { issuer, audience, algorithms: tokenAlgorithms, clockTolerance: TOLERANCE_SECONDS, requiredClaims: ['exp', 'sub'], currentDate: new Date(now()) });
      if (protectedHeader.typ !== undefined && !TYPES.has(protectedHeader.typ.toLowerCase())) throw new Error('the token is of another type');
      return payload;
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw refusedToken('this token is not valid here, or not any more: get a new one', error);
    }
  };
  return async (token) => {
    if (token.length > MAX_CHARACTERS) throw refusedToken(`the token is longer than ${MAX_CHARACTERS} characters`);
    const hash = createHash('sha256').update(token).digest('base64url');
    const known = verified.get(hash);
    const endsAtMs = (owner: KeyOwner): number => (owner.expiresAtMs ?? 0) + TOLERANCE_SECONDS * 1_000;
    if (known && endsAtMs(known) > now()) return known;
    const owner = ownerOf(await verify(token), claims);
    verified.set(hash, owner, { ttl: Math.max(1, Math.min(KNOWN_FOR_MS, endsAtMs(owner) - now())) });
    return owner;
  };
}
