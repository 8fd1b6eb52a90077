import { DEFAULT_WORKSPACE, scopesOfRoles, workspaceIdSchema } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { JWTPayload } from 'jose';
import type { KeyOwner } from '../key.repository.ts';

export interface ClaimNames {
  /** A list of roles, or one text of roles with spaces between; `a.b` is b inside of a. */
  readonly roles: string;
  /** A workspace; tokens without it are of `default`. */
  readonly workspace: string;
}

/** What a 401 says to programs (RFC 6750). */
export const refusedToken = (sentence: string, cause?: unknown): AppError =>
  new AppError('unauthenticated', sentence, {
    ...(cause !== undefined && { cause }), headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' }, details: [{ in: 'headers', pointer: '/authorization', detail: 'is not a valid token' }],
  });

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

/** The claim of that very name, else along the dots. */
function claimAt(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let found: unknown = payload;
  for (const part of name.split('.')) found = isRecord(found) && Object.hasOwn(found, part) ? found[part] : undefined;
  return found;
}

const textsOf = (claim: unknown): readonly string[] =>
  typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim.filter((one): one is string => typeof one === 'string') : [];

/** Ids go into the audit log and into headers of services. */
const SUBJECT = /^[\x21-\x7E]{1,200}$/;

/** The caller that a verified token names. Roles that are unknown here give nothing. @throws unauthenticated for a sub or a workspace of a wrong form */
export function ownerOf(payload: JWTPayload, names: ClaimNames): KeyOwner {
  const { sub = '', exp = 0 } = payload;
  if (!SUBJECT.test(sub)) throw refusedToken('the token names nobody: sub must be 1 to 200 printable ASCII characters without spaces');
  const claim = claimAt(payload, names.workspace);
  // null is there, and names none.
  const workspace = workspaceIdSchema.safeParse(claim === undefined ? DEFAULT_WORKSPACE : claim);
  if (!workspace.success) throw refusedToken(`the token's ${names.workspace} is not a workspace: 1 to 63 lower-case letters, digits, - and _`);
  return { id: `user:${sub}`, kind: 'user', workspaceId: workspace.data, scopes: scopesOfRoles(textsOf(claimAt(payload, names.roles))), isDevelopment: false, expiresAtMs: exp * 1_000 };
}
