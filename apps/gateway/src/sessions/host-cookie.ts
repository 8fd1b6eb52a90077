import { AppError } from '@millrace/service';
import type { CookieOptions, Request, RequestHandler, Response } from 'express';

/**
 * Cookies for a login in pages of this origin (RFC 6265bis, 4.1.3.2: the prefix `__Host-`): Secure, HttpOnly, SameSite=Lax, Path=/, no Domain, so that no
 * script reads them, no other host sets them and no other site's POST carries them.
 */
const NAME = /^[\w-]{1,64}$/;
const attributes: CookieOptions = { secure: true, httpOnly: true, sameSite: 'lax', path: '/' };

const hostName = (name: string): string => {
  if (!NAME.test(name)) throw new Error(`${name} cannot be the name of a cookie`);
  return `__Host-${name}`;
};

/** Of characters that need no encoding (base64url, a JWT). @throws Error for any other: that is a bug */
export function setHostCookie(res: Response, name: string, { value, maxAgeSeconds }: { readonly value: string; readonly maxAgeSeconds: number }): void {
  if (!/^[\w.-]{1,3000}$/.test(value)) throw new Error('the value of a cookie must be 1 to 3000 of A-Z a-z 0-9 _ . -');
  res.cookie(hostName(name), value, { ...attributes, maxAge: maxAgeSeconds * 1_000 });
}

export function clearHostCookie(res: Response, name: string): void {
  res.clearCookie(hostName(name), attributes);
}

/** undefined: there is none, or more than one, which no browser sends by itself. */
export function readHostCookie(req: Request, name: string): string | undefined {
  const prefix = `${hostName(name)}=`;
  const found = (req.headers.cookie ?? '').split(';').map((pair) => pair.trim()).filter((pair) => pair.startsWith(prefix));
  const [only = ''] = found;
  const value = only.slice(prefix.length);
  return found.length === 1 && value !== '' ? value : undefined;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Against forged requests of other sites, before any route that takes a cookie: whatever changes something must name one of `origins` in Origin, which
 * browsers send with every such request and scripts cannot set. @throws forbidden, also without Origin
 */
export function checkOrigin(origins: readonly string[]): RequestHandler {
  const allowed = new Set(origins);
  return (req, _res, next) => {
    const origin = req.get('origin');
    if (!SAFE.has(req.method) && (origin === undefined || !allowed.has(origin)))
      throw new AppError('forbidden', 'a request with a cookie must come from a page of this site: its Origin is missing or another', { details: [{ in: 'headers', pointer: '/origin', detail: 'must be an origin of this site' }] });
    next();
  };
}
