import { AppError } from '@millrace/service';
import type { IdentityVerifier } from '@millrace/service';
import type { RequestHandler } from 'express';
import { identityOf, setIdentity } from './request-context.ts';

/** Lets only callers with a valid internal identity token of one of the issuers pass. Public-API calls need the issuer `gateway`. */
export function authenticate(verifier: IdentityVerifier, issuers: readonly string[]): RequestHandler {
  return async (req, _res, next) => {
    const token = /^Bearer (.+)$/.exec(req.get('authorization') ?? '')?.[1];
    if (token === undefined) throw new AppError('unauthenticated', 'this port takes calls with an internal identity token only');
    const identity = await verifier.verify(token);
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
