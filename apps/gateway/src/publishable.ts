import { DEFAULT_WORKSPACE, operations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Request } from 'express';
import type { AuthenticateKey, KeyPlace } from './authenticate-key.ts';
import type { KeyOwner } from './key.repository.ts';
import type { AuthenticateToken } from './keys/authenticate-token.ts';
import { isDelegated } from './keys/delegation.ts';

const QUERY: KeyPlace = { in: 'query', pointer: '/key' };

/** The parameter `key`, of operations for browsers alone: sendBeacon sets no header. X-Api-Key counts where both are there. */
const queryOf = ({ originalUrl }: Request): URLSearchParams => new URLSearchParams(originalUrl.split('?').slice(1).join('?'));

const TWO_CALLERS = { details: [{ in: 'headers', pointer: '/authorization', detail: 'must not be there together with an API key' }] } as const;

const NO_CALLER = { details: [{ in: 'headers', pointer: '/x-api-key', detail: 'is required' }], headers: { 'WWW-Authenticate': 'Bearer' } } as const;

export interface Authenticators {
  readonly authenticate: AuthenticateKey;
  /** Undefined: tokens are not taken, and `Authorization` is not looked at. */
  readonly authenticateToken?: AuthenticateToken | undefined;
  /** For tokens that a gateway has signed; undefined: they are like any other. */
  readonly authenticateDelegated?: AuthenticateToken | undefined;
}

interface Bearer { readonly token: string; readonly authenticate: AuthenticateToken }

/** Undefined where there is none, or none that is looked at here. */
function bearerOf(req: Request, { authenticateToken, authenticateDelegated }: Authenticators): Bearer | undefined {
  const token = /^bearer +(\S+) *$/i.exec(req.get('authorization') ?? '')?.[1];
  if (token === undefined) return undefined;
  const authenticate = authenticateDelegated && isDelegated(token) ? authenticateDelegated : authenticateToken;
  return authenticate && { token, authenticate };
}

/** Whoever signs the bodies of an operation: may do that one thing, and the service looks at the signature. */
const signer = ({ operationId, scope }: Operation): KeyOwner => ({ id: `signed:${operationId}`, workspaceId: DEFAULT_WORKSPACE, kind: 'secret', scopes: [scope], isDevelopment: false });

/**
 * Who calls, by a key or by a token. @throws invalid_request for both at once: which of them counts must be no guess; unauthenticated, also for a secret key in
 * the address: that stands in the logs of every proxy on its way
 */
export async function identifyCaller(req: Request, operation: Operation, authenticators: Authenticators): Promise<KeyOwner> {
  if (operation.isSigned === true) return signer(operation);
  const { authenticate, authenticateToken } = authenticators;
  const header = req.get('x-api-key');
  const inQuery = operation.isPublishable === true && header === undefined ? queryOf(req).get('key') : null;
  const bearer = bearerOf(req, authenticators);
  if (bearer) {
    if (header !== undefined || inQuery !== null) throw new AppError('invalid_request', 'send an API key or a token, not both', TWO_CALLERS);
    return bearer.authenticate(bearer.token);
  }
  if (authenticateToken && header === undefined && inQuery === null) throw new AppError('unauthenticated', 'send an API key in the header X-Api-Key, or a token in Authorization: Bearer', NO_CALLER);
  if (inQuery === null) return authenticate(header);
  const owner = await authenticate(inQuery, QUERY);
  if (owner.origins === undefined) throw new AppError('unauthenticated', 'only a publishable key (mr_pub_…) may stand in the address: revoke this one, it was seen on the way', { details: [{ ...QUERY, detail: 'must be a publishable key' }] });
  return owner;
}

const routesForPages = operations.filter(({ isPublishable }) => isPublishable === true).map(({ method, path }) => `${method.toUpperCase()} ${path}`).join(', ');

/** Does nothing for a secret key. @throws forbidden where a publishable key is used on another route, or from elsewhere than its origins */
export function checkPublishable(owner: KeyOwner, operation: Operation, origin: string | undefined): void {
  if (owner.origins === undefined) return;
  if (operation.isPublishable !== true) throw new AppError('forbidden', `a publishable key may only send events (${routesForPages}): use a secret key for this, from your server`);
  const pointer = { in: 'headers', pointer: '/origin' } as const;
  if (origin === undefined) throw new AppError('forbidden', 'a publishable key works in a browser only, which sends Origin: use a secret key from your server', { details: [{ ...pointer, detail: 'is required' }] });
  if (!owner.origins.includes(origin)) throw new AppError('forbidden', 'this publishable key is for pages of another origin: make one for this origin (millrace keys create --publishable --origin)', { details: [{ ...pointer, detail: 'is not an origin of this key' }] });
}

/** Of signed operations. */
const SIGNATURE = 'x-hub-signature';

/** What the service sees: the signature of a body that has one; the address without the key, and text/plain, which pages send because it needs no preflight, as the JSON that it is. */
export function forService(req: Request, operation: Operation): { readonly path: string; readonly headers: Readonly<Record<string, string>> } {
  const signature = operation.isSigned === true ? req.get(SIGNATURE) : undefined;
  if (operation.isPublishable !== true) return { path: req.originalUrl, headers: signature === undefined ? {} : { [SIGNATURE]: signature } };
  const query = queryOf(req);
  query.delete('key');
  const path = req.originalUrl.split('?', 1)[0] ?? '';
  const isText = /^text\/plain\b/i.test(req.get('content-type') ?? '');
  return { path: query.size === 0 ? path : `${path}?${query.toString()}`, headers: isText ? { 'content-type': 'application/json' } : {} };
}
