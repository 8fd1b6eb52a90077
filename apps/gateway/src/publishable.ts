import { operations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Request } from 'express';
import type { AuthenticateKey, KeyPlace } from './authenticate-key.ts';
import type { KeyOwner } from './key.repository.ts';

const QUERY: KeyPlace = { in: 'query', pointer: '/key' };

/** The parameter `key`, of operations for browsers alone: sendBeacon sets no header. X-Api-Key counts where both are there. */
const queryOf = ({ originalUrl }: Request): URLSearchParams => new URLSearchParams(originalUrl.split('?').slice(1).join('?'));

/** Who calls. @throws unauthenticated, also for a secret key in the address: that stands in the logs of every proxy on its way */
export async function identifyCaller(req: Request, operation: Operation, authenticate: AuthenticateKey): Promise<KeyOwner> {
  const header = req.get('x-api-key');
  const inQuery = operation.isPublishable === true && header === undefined ? queryOf(req).get('key') : null;
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

/** What the service sees: the address without the key, and text/plain, which pages send because it needs no preflight, as the JSON that it is. */
export function forService(req: Request, operation: Operation): { readonly path: string; readonly headers: Readonly<Record<string, string>> } {
  if (operation.isPublishable !== true) return { path: req.originalUrl, headers: {} };
  const query = queryOf(req);
  query.delete('key');
  const path = req.originalUrl.split('?', 1)[0] ?? '';
  const isText = /^text\/plain\b/i.test(req.get('content-type') ?? '');
  return { path: query.size === 0 ? path : `${path}?${query.toString()}`, headers: isText ? { 'content-type': 'application/json' } : {} };
}
