import { AppError } from '@millrace/service';
import type { Identity, IdentityVerifier } from '@millrace/service';
import type { RequestHandler } from 'express';
import { identityOf, setIdentity } from './request-context.ts';

/** Who sent the header `Authorization`. Throws AppError('unauthenticated'). */
export async function identityFrom(header: string | undefined, verifier: IdentityVerifier): Promise<Identity> {
  const token = /^Bearer (.+)$/.exec(header ?? '')?.[1];
  if (token === undefined) throw new AppError('unauthenticated', 'this port takes calls with an internal identity token only');
  return verifier.verify(token);
}

/** Lets only callers with a valid internal identity token of one of the issuers pass. Public-API calls need the issuer `gateway`. */
export function authenticate(verifier: IdentityVerifier, issuers: readonly string[]): RequestHandler {
  return async (req, _res, next) => {
    const identity = await identityFrom(req.get('authorization'), verifier);
    if (!issuers.includes(identity.issuer)) throw new AppError('forbidden', `${identity.issuer} may not call this route`);
    setIdentity(req, identity);
    next();
  };
}

/** For routes of the second port that are called in a caller's name: whoever is asked checks the scope, too. */
export function requireScope(scope: string): RequestHandler {
  return (req, _res, next) => {
    if (identityOf(req)?.scopes.includes(scope) !== true) throw new AppError('forbidden', `the scope ${scope} is needed`);
    next();
  };
}
