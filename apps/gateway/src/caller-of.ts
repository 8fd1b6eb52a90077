import type { Request } from 'express';
import type { KeyOwner } from './key.repository.ts';

const callers = new WeakMap<Request, KeyOwner>();

export const setCaller = (req: Request, owner: KeyOwner): void => void callers.set(req, owner);

/** All that the gateway knows of who calls, for operations of this process to which the identity that services get is too little. */
export function callerOf(req: Request): KeyOwner {
  const owner = callers.get(req);
  if (!owner) throw new Error('the route table has not let this call in');
  return owner;
}
